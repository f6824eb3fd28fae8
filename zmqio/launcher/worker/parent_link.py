"""The worker's end of a socket pair over which it receives connections and sends messages.

The other end belongs to the parent. With several acceptors each of them has such a link to the worker, and the
parent's link carries the worker's ends of these links instead of connections.
"""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable

from zmqio.hosting.descriptor_reserve import DescriptorReserve
from zmqio.launcher.ipc.peer_state import peer_has_closed
from zmqio.launcher.worker.messages import (
    ConnectionsClosed,
    WorkerAlive,
    WorkerMessage,
    WorkerStopping,
    encode_worker_message,
)
from zmqio.log_limit import LimitedLog
from zmqio.logger import get_logger

__all__ = ["ParentLink"]

log = get_logger(__name__)

MAX_SOCKETS_PER_TURN = 64
"""Sockets received in one turn of the event loop, so that open connections get their turn."""
RETRY_S = 0.5
"""Seconds without receiving after the reserve of descriptors was reached."""
STOP_TIMEOUT_S = 2.0
"""Seconds that the peer may take to close its end after the worker has announced its stop."""
LAST_TIMEOUT_S = 1.0
"""Seconds that the peer may take to read the last message."""
_FD_SPACE = socket.CMSG_LEN(struct.calcsize("i"))
_CLOEXEC = getattr(socket, "MSG_CMSG_CLOEXEC", 0)


class ParentLink:
    """Receives sockets.

    Args:
        link: one end of a pair of stream sockets.
        on_socket: called with each socket.
        on_dropped: called for a socket that could not be received, because this process has too many open files.
        on_end: called when the peer's end is closed before `finish`.
        reserve: descriptors that no socket may use. Once it is reached, sockets wait in the link.
    """

    def __init__(
        self,
        link: socket.socket,
        *,
        on_socket: Callable[[socket.socket], None],
        on_dropped: Callable[[], None],
        on_end: Callable[[], None],
        reserve: DescriptorReserve | None = None,
    ) -> None:
        link.setblocking(False)
        self._socket = link
        self._on_socket = on_socket
        self._on_dropped = on_dropped
        self._on_end = on_end
        self._reserve = reserve
        self._retry: asyncio.TimerHandle | None = None
        self._limited_log = LimitedLog(log, burst=1)
        self._unsent = b""
        self._closed = 0
        self._is_open = False
        self._ended = asyncio.Event()
        self._is_finishing = False

    def open(self) -> None:
        """Begin to receive sockets."""
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._socket.fileno(), self._read)
        self._is_open = True

    def send(self, message: WorkerMessage) -> None:
        """Send a message; queue what the socket does not accept at once."""
        if self._is_open:
            self._unsent += encode_worker_message(message)
            self._flush()

    def send_heartbeat(self, report: WorkerMessage | None = None) -> None:
        """Send a heartbeat, and `report` if there is one, unless earlier messages are still queued."""
        if not self._unsent:
            self.send(WorkerAlive())
            if report is not None:
                self.send(report)

    def report_closed(self, count: int) -> None:
        """Report that `count` more connections are closed. Reports that have to wait are merged into one."""
        self._closed += count
        if self._is_open and not self._unsent:
            self._flush()

    async def finish(self) -> None:
        """Announce the stop, and receive until the peer closes its end, for at most 2 s."""
        if not self._is_open:
            return
        self._is_finishing = True
        self.send(WorkerStopping())
        self._resume()
        try:
            await asyncio.wait_for(self._ended.wait(), STOP_TIMEOUT_S)
        except TimeoutError:
            log.warning("stop_confirmation_timed_out", timeout_s=STOP_TIMEOUT_S)

    def send_last(self, message: WorkerMessage) -> None:
        """Send the last message. A peer that does not read blocks this process for at most 1 s."""
        if self._is_open:
            self._socket.settimeout(LAST_TIMEOUT_S)
            with contextlib.suppress(OSError):
                self._socket.sendall(self._unsent + encode_worker_message(message))
            self._socket.setblocking(False)
            self._unsent = b""

    def close(self) -> None:
        """Close this end, if it was opened; to be called in the event loop."""
        if self._is_open:
            self._is_open = False
            if self._retry is not None:
                self._retry.cancel()
            self._loop.remove_reader(self._socket.fileno())
            self._loop.remove_writer(self._socket.fileno())
            self._socket.close()

    def _read(self) -> None:
        for _ in range(MAX_SOCKETS_PER_TURN):
            try:
                # Not `recv_fds`, which ignores its flags: child processes of the app would inherit the sockets.
                data, passed, _, _ = self._socket.recvmsg(1, _FD_SPACE, _CLOEXEC)
            except BlockingIOError:
                return
            except OSError:
                data, passed = b"", []
            if not data:
                self._end()
                return
            if not passed:
                self._limited_log.error(
                    "socket_dropped", reason="too many open files", hint="raise the limit (ulimit -n)"
                )
                self._on_dropped()
                continue
            (fd,) = struct.unpack("i", passed[0][2])
            self._on_socket(socket.socket(fileno=fd))
            if self._reserve is not None and self._reserve.is_reached(fd) and not self._is_finishing:
                self._pause()
                return

    def _pause(self) -> None:
        """Receive nothing until descriptors are free. In the meantime, connections wait in the link."""
        self._limited_log.warning(
            "accept_failed", error="too many open files", hint="raise the limit of open files (ulimit -n)"
        )
        self._loop.remove_reader(self._socket.fileno())
        self._retry = self._loop.call_later(RETRY_S, self._try_to_resume)

    def _try_to_resume(self) -> None:
        assert self._reserve is not None  # else nothing pauses
        if self._reserve.is_untouched() or peer_has_closed(self._socket):
            self._resume()
        else:
            self._retry = self._loop.call_later(RETRY_S, self._try_to_resume)

    def _resume(self) -> None:
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None
            self._loop.add_reader(self._socket.fileno(), self._read)

    def _end(self) -> None:
        self._loop.remove_reader(self._socket.fileno())
        self._ended.set()
        if not self._is_finishing:
            self._on_end()

    def _flush(self) -> None:
        if self._closed and not self._unsent:
            self._unsent, self._closed = encode_worker_message(ConnectionsClosed(self._closed)), 0
        try:
            self._unsent = self._unsent[self._socket.send(self._unsent) :]
        except BlockingIOError:
            pass
        except OSError:
            self._unsent, self._closed = b"", 0  # the peer is gone; `_read` handles that
        if self._unsent or self._closed:
            self._loop.add_writer(self._socket.fileno(), self._flush)
        else:
            self._loop.remove_writer(self._socket.fileno())
