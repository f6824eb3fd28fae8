"""The supervisor's end of the socket to an acceptor: orders go out, links to workers with them; notes come in."""

import asyncio
import contextlib
import socket
import struct
from collections import deque
from collections.abc import Callable

import structlog

from zmqio.launcher.acceptor_lines import Note, Order, decode_note, encode
from zmqio.launcher.lines import LineReader

__all__ = ["MOST_WAITING", "AcceptorLink"]

log = structlog.get_logger(__name__)

MOST_WAITING = 10_000
"""Orders that wait here for an acceptor that does not take them; each start of a worker makes two or three."""
_READ_BYTES = 1 << 16


class AcceptorLink:
    """Gives one acceptor orders, in the running loop.

    Args:
        link: one end of a pair of stream sockets.
        heard: gets every note.
    """

    def __init__(self, link: socket.socket, heard: Callable[[Note], None]) -> None:
        link.setblocking(False)
        self._socket = link
        self._heard = heard
        self._lines = LineReader()
        self._waiting: deque[tuple[bytes, socket.socket | None]] = deque()
        self._is_broken = self._is_finishing = False
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(link.fileno(), self._read)

    def order(self, order: Order, passed: socket.socket | None = None) -> bool:
        """Send an order; what the socket does not take at once follows when it does.

        Args:
            order: the order.
            passed: travels with it; closed here then, in any case.

        Returns:
            False if `MOST_WAITING` wait already: that acceptor hangs.
        """
        if self._is_broken or self._is_finishing:
            _close(passed)
            return True  # its end tells the rest
        if len(self._waiting) >= MOST_WAITING:
            _close(passed)
            return False
        self._waiting.append((encode(order), passed))
        if len(self._waiting) == 1:
            self._flush()
        return True

    def finish(self) -> None:
        """Let the acceptor see the end of the socket, behind all orders."""
        self._is_finishing = True
        if not self._waiting:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_WR)

    def read_rest(self) -> None:
        """Hear what an ended acceptor has still said."""
        while not self._is_broken and self._read():
            pass

    def close(self) -> None:
        """Close this end, and what still waits."""
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket.fileno())
            self._loop.remove_writer(self._socket.fileno())
            self._socket.close()
        self._break()

    def _flush(self) -> None:
        while self._waiting and self._send(*self._waiting[0]):
            self._waiting.popleft()
        if self._waiting:
            self._loop.add_writer(self._socket.fileno(), self._flush)
            return
        self._loop.remove_writer(self._socket.fileno())
        if self._is_finishing:
            self.finish()

    def _send(self, line: bytes, passed: socket.socket | None) -> bool:
        """Whether it was sent, whole: the kernel takes all of a line so short, or nothing."""
        rights = (
            [] if passed is None else [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("i", passed.fileno()))]
        )
        try:
            self._socket.sendmsg((line,), rights)
        except BlockingIOError:
            return False
        except OSError:
            self._break()
            return False
        _close(passed)
        return True

    def _break(self) -> None:
        self._is_broken = True
        for _, passed in self._waiting:
            _close(passed)
        self._waiting.clear()

    def _read(self) -> bool:
        """Hear what there is; whether there was anything."""
        try:
            data = self._socket.recv(_READ_BYTES)
            notes = [decode_note(line) for line in self._lines.feed(data)]
        except BlockingIOError:
            return False
        except OSError:
            data, notes = b"", []
        except ValueError as error:
            log.error("acceptor_note_malformed", error=str(error))  # noqa: TRY400
            data, notes = b"", []
        if not data:
            self._break()
            self._loop.remove_reader(self._socket.fileno())
            self._loop.remove_writer(self._socket.fileno())
        for note in notes:
            self._heard(note)
        return bool(data)


def _close(passed: socket.socket | None) -> None:
    if passed is not None:
        passed.close()
