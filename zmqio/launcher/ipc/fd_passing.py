"""One end of a socket pair that sends lines, with open sockets attached (SCM_RIGHTS), and receives messages."""

import asyncio
import contextlib
import socket
import struct
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from zmqio.logger import get_logger

__all__ = ["FdPassingLink"]

log = get_logger(__name__)

_READ_BYTES = 1 << 16

MessageT = TypeVar("MessageT")


class FdPassingLink(Generic[MessageT]):
    """A link in the running event loop.

    Args:
        link: one end of a pair of stream sockets.
        max_pending: lines queued here while the peer does not read; beyond that, `send` fails.
        decode: turns received bytes into the messages that they complete; raises `ValueError` for malformed ones.
        on_message: called with each message.
        on_end: called when the peer's end of the socket is closed.
        malformed_event: the log event for malformed messages, after which the link is broken.

    Attributes:
        broken: whether the peer is gone.
    """

    def __init__(
        self,
        link: socket.socket,
        *,
        max_pending: int,
        decode: Callable[[bytes], list[MessageT]],
        on_message: Callable[[MessageT], None],
        on_end: Callable[[], None],
        malformed_event: str,
    ) -> None:
        link.setblocking(False)
        self.broken = False
        self._socket = link
        self._max_pending = max_pending
        self._decode = decode
        self._on_message = on_message
        self._on_end = on_end
        self._malformed_event = malformed_event
        self._pending: deque[tuple[bytes, socket.socket | None]] = deque()
        self._is_finishing = False
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(link.fileno(), self._read)

    @property
    def is_closed(self) -> bool:
        """Whether the link accepts nothing more to send: the peer is gone, or `finish` was called."""
        return self.broken or self._is_finishing

    def send(self, line: bytes, attached: socket.socket | None = None) -> bool:
        """Send a line, and a socket that is closed in this process once it is sent; queue both if necessary.

        Returns:
            False if the link is closed or `max_pending` lines are queued. The caller keeps the socket then.
        """
        if self.is_closed:
            return False
        if not self._pending and self._send_now(line, attached):
            return True
        if self.broken or len(self._pending) >= self._max_pending:
            return False
        if not self._pending:
            self._loop.add_writer(self._socket.fileno(), self._flush)
        self._pending.append((line, attached))
        return True

    def finish(self) -> None:
        """Accept no more to send; shut down the sending side once everything queued is sent."""
        self._is_finishing = True
        if not self._pending:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_WR)

    def read_remaining(self) -> None:
        """Handle the messages that a process sent before it exited."""
        while not self.broken and self._read():
            pass

    def close(self) -> None:
        """Close this end and the queued sockets."""
        if self._socket.fileno() >= 0:
            self._stop()
            self._socket.close()

    def _send_now(self, line: bytes, attached: socket.socket | None) -> bool:
        """Try to send; the kernel accepts so short a line as a whole or not at all."""
        # As `socket.send_fds` does, without creating an array for one number.
        rights = () if attached is None else ((socket.SOL_SOCKET, socket.SCM_RIGHTS, _packed_fd(attached)),)
        try:
            self._socket.sendmsg((line,), rights)
        except BlockingIOError:
            return False
        except OSError:
            self._break()
            return False
        if attached is not None:
            attached.close()
        return True

    def _flush(self) -> None:
        while self._pending and self._send_now(*self._pending[0]):
            self._pending.popleft()
        if self._pending:
            return
        self._loop.remove_writer(self._socket.fileno())
        if self._is_finishing:
            self.finish()

    def _read(self) -> bool:
        """Handle what has been received; return whether there was anything."""
        try:
            data = self._socket.recv(_READ_BYTES)
            messages = self._decode(data)
        except BlockingIOError:
            return False
        except OSError:
            data, messages = b"", []
        except ValueError as error:
            log.error(self._malformed_event, error=str(error))  # noqa: TRY400
            data, messages = b"", []
        if not data:
            self._stop()
        for message in messages:
            self._on_message(message)
        if not data:
            self._on_end()
        return bool(data)

    def _stop(self) -> None:
        self._loop.remove_reader(self._socket.fileno())
        self._loop.remove_writer(self._socket.fileno())
        self._break()

    def _break(self) -> None:
        self.broken = True
        for _, attached in self._pending:
            if attached is not None:
                attached.close()
        self._pending.clear()


def _packed_fd(attached: socket.socket) -> bytes:
    return struct.pack("i", attached.fileno())
