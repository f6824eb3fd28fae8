"""The acceptor's end of the socket to the supervisor: receives messages and links to workers, sends messages."""

import asyncio
import contextlib
import socket
import struct
from collections import deque
from collections.abc import Callable

from zmqio.launcher.accept.acceptor_messages import (
    AcceptorAlive,
    AcceptorCounters,
    AcceptorMessage,
    AddWorker,
    SupervisorMessage,
    decode_supervisor_message,
    encode_message,
)
from zmqio.launcher.ipc.line_reader import LineReader
from zmqio.logger import get_logger

__all__ = ["SupervisorLink"]

log = get_logger(__name__)

_READ_BYTES = 1 << 16
_FD_SPACE = socket.CMSG_LEN(struct.calcsize("i"))
_CLOEXEC = getattr(socket, "MSG_CMSG_CLOEXEC", 0)
_SEND_TIMEOUT_S = 1.0


class SupervisorLink:
    """Exchanges messages with the supervisor, in the running event loop.

    Args:
        link: one end of a pair of stream sockets.
        on_message: called with each message; with an `AddWorker` also the link to the worker, or None if the
            link could not be received because this process has too many open files.
        on_end: called once when the supervisor's end is closed.
    """

    def __init__(
        self,
        link: socket.socket,
        *,
        on_message: Callable[[SupervisorMessage, socket.socket | None], None],
        on_end: Callable[[], None],
    ) -> None:
        link.setblocking(False)
        self._socket = link
        self._on_message = on_message
        self._on_end = on_end
        self._lines = LineReader()
        self._received_sockets: deque[socket.socket] = deque()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(link.fileno(), self._read)

    def send(self, message: AcceptorMessage) -> None:
        """Send a message, blocking for at most 1 s; drop it after that. Messages are few and short."""
        self._socket.settimeout(_SEND_TIMEOUT_S)
        with contextlib.suppress(OSError):
            self._socket.sendall(encode_message(message))
        self._socket.setblocking(False)

    def send_heartbeat(self, counters: AcceptorCounters) -> None:
        """Send a heartbeat and the counters, or drop them if the socket is full."""
        with contextlib.suppress(OSError):
            self._socket.send(encode_message(AcceptorAlive()) + encode_message(counters))

    def close(self) -> None:
        """Close this end."""
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket.fileno())
            self._socket.close()

    def _read(self) -> None:
        """Handle everything received before any connection is balanced by part of it."""
        while self._read_some():
            pass

    def _read_some(self) -> bool:
        """Handle messages up to the next link; return whether there may be more."""
        try:
            # A read ends behind the message that carries a file descriptor, so it returns at most one.
            data, passed, _, _ = self._socket.recvmsg(_READ_BYTES, _FD_SPACE, _CLOEXEC)
            if passed:
                self._received_sockets.append(socket.socket(fileno=struct.unpack("i", passed[0][2])[0]))
            messages = [decode_supervisor_message(line) for line in self._lines.feed(data)]
        except BlockingIOError:
            return False
        except OSError:
            data, messages = b"", []
        except ValueError as error:
            log.error("supervisor_message_malformed", error=str(error))  # noqa: TRY400
            data, messages = b"", []
        for message in messages:
            has_link = isinstance(message, AddWorker) and self._received_sockets
            self._on_message(message, self._received_sockets.popleft() if has_link else None)
        if not data:
            self._loop.remove_reader(self._socket.fileno())
            self._on_end()
        return bool(data)
