"""An acceptor's end of the socket to its supervisor: orders come in, links to workers with them; notes go out."""

import asyncio
import contextlib
import socket
import struct
from collections import deque
from collections.abc import Callable

import structlog

from zmqio.launcher.accept.acceptor_messages import Add, Note, Order, decode_order, encode
from zmqio.launcher.ipc.line_reader import LineReader

__all__ = ["SupervisorLink"]

log = structlog.get_logger(__name__)

_READ_BYTES = 1 << 16
_SPACE = socket.CMSG_LEN(struct.calcsize("i"))
_CLOEXEC = getattr(socket, "MSG_CMSG_CLOEXEC", 0)
_TELL_LIMIT_S = 1.0


class SupervisorLink:
    """Hears orders, in the running loop.

    Args:
        link: one end of a pair of stream sockets.
        heard: gets every order; an `Add` with the link to the worker, or with None if this process may open no
            more files.
        ended: called once at the end of the socket.
    """

    def __init__(
        self,
        link: socket.socket,
        *,
        heard: Callable[[Order, socket.socket | None], None],
        ended: Callable[[], None],
    ) -> None:
        link.setblocking(False)
        self._socket = link
        self._heard = heard
        self._ended = ended
        self._lines = LineReader()
        self._passed: deque[socket.socket] = deque()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(link.fileno(), self._read)

    def tell(self, note: Note) -> None:
        """Send a note. There are few and short ones: a supervisor that does not take one for 1 s misses it."""
        self._socket.settimeout(_TELL_LIMIT_S)
        with contextlib.suppress(OSError):
            self._socket.sendall(encode(note))
        self._socket.setblocking(False)

    def close(self) -> None:
        """Close this end."""
        if self._socket.fileno() >= 0:
            self._loop.remove_reader(self._socket.fileno())
            self._socket.close()

    def _read(self) -> None:
        """Hear all that there is, so that nothing is balanced by half of it."""
        while self._read_some():
            pass

    def _read_some(self) -> bool:
        """Hear up to the next link; whether there may be more."""
        try:
            # A read ends behind the message whose file descriptor it brings: at most one each time.
            data, passed, _, _ = self._socket.recvmsg(_READ_BYTES, _SPACE, _CLOEXEC)
            if passed:
                self._passed.append(socket.socket(fileno=struct.unpack("i", passed[0][2])[0]))
            orders = [decode_order(line) for line in self._lines.feed(data)]
        except BlockingIOError:
            return False
        except OSError:
            data, orders = b"", []
        except ValueError as error:
            log.error("order_malformed", error=str(error))  # noqa: TRY400
            data, orders = b"", []
        for order in orders:
            comes_with_a_link = isinstance(order, Add) and self._passed
            self._heard(order, self._passed.popleft() if comes_with_a_link else None)
        if not data:
            self._loop.remove_reader(self._socket.fileno())
            self._ended()
        return bool(data)
