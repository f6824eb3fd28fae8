"""The balancer's end of the socket to a worker: connections go out (SCM_RIGHTS), reports come in."""

import asyncio
import contextlib
import socket
import struct
from collections import deque
from collections.abc import Callable

import structlog

from zmqio.launcher.reports import PASS, Report, ReportReader

__all__ = ["MOST_WAITING", "WorkerLink"]

log = structlog.get_logger(__name__)

MOST_WAITING = 1_000
"""Connections that wait here for a worker that does not take them; beyond it they are refused."""
_READ_BYTES = 1 << 16


class WorkerLink:
    """Hands connections to one worker.

    Args:
        link: one end of a pair of stream sockets.
        heard: gets every report.
        ended: called once when the worker's end is found gone, unless this one was closed before.

    Attributes:
        broken: whether the worker's end is gone.
        given: how many connections were handed over, or wait for it.
    """

    def __init__(
        self, link: socket.socket, heard: Callable[[Report], None], ended: Callable[[], None] = lambda: None
    ) -> None:
        link.setblocking(False)
        self.broken = False
        self.given = 0
        self._socket = link
        self._heard = heard
        self._ended = ended
        self._reader = ReportReader()
        self._waiting: deque[socket.socket] = deque()
        self._is_finishing = False
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(link.fileno(), self._read)

    def give(self, connection: socket.socket) -> bool:
        """Hand a connection over; it is closed here then.

        Returns:
            False if the worker takes no more, is gone, or `MOST_WAITING` wait for it already: the connection is
            still the caller's.
        """
        if self.broken or self._is_finishing:
            return False
        if not self._waiting and self._send(connection):
            self.given += 1
            return True
        if self.broken or len(self._waiting) >= MOST_WAITING:
            return False
        if not self._waiting:
            self._loop.add_writer(self._socket.fileno(), self._flush)
        self._waiting.append(connection)
        self.given += 1
        return True

    def finish(self) -> None:
        """Let the worker see the end of the socket, behind all that it was given."""
        self._is_finishing = True
        if not self._waiting:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_WR)

    def read_rest(self) -> None:
        """Hear what an ended worker has still said."""
        while not self.broken and self._read():
            pass

    def close(self) -> None:
        """Close this end, and what still waits."""
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket.fileno())
            self._loop.remove_writer(self._socket.fileno())
            self._socket.close()
        self.broken = True
        for connection in self._waiting:
            connection.close()
        self._waiting.clear()

    def _send(self, connection: socket.socket) -> bool:
        try:
            # As `socket.send_fds` does, without making an array for one number.
            passed = (socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("i", connection.fileno()))
            self._socket.sendmsg((PASS,), (passed,))
        except BlockingIOError:
            return False
        except OSError:
            self.broken = True
            return False
        connection.close()
        return True

    def _flush(self) -> None:
        while self._waiting and self._send(self._waiting[0]):
            self._waiting.popleft()
        if self.broken or not self._waiting:
            self._loop.remove_writer(self._socket.fileno())
            if self._is_finishing:
                self.finish()

    def _read(self) -> bool:
        """Hear what there is; whether there was anything."""
        try:
            data = self._socket.recv(_READ_BYTES)
            reports = self._reader.feed(data)
        except BlockingIOError:
            return False
        except OSError:
            data, reports = b"", []
        except ValueError as error:
            log.error("worker_report_malformed", error=str(error))  # noqa: TRY400
            data, reports = b"", []
        if not data:
            self.broken = True
            self._loop.remove_reader(self._socket.fileno())
        for report in reports:
            self._heard(report)
        if not data:
            self._ended()
        return bool(data)
