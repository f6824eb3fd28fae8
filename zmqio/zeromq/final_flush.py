"""The last messages of a link: sent when nothing serves its connection any more, perhaps without an event loop."""

import contextlib
import socket
import time
from collections.abc import Iterable

__all__ = ["FinalFlush"]

READ_BYTES = 1 << 16
LEAST_WAIT_S = 0.001


class FinalFlush:
    """What a connection that nothing serves any more has not sent. May be used on any thread.

    Args:
        connection: a non-blocking socket; belongs to this from now on.
        unsent: in order.
    """

    def __init__(self, connection: socket.socket, unsent: Iterable[bytes | memoryview]) -> None:
        self._connection = connection
        self._unsent = memoryview(b"".join(unsent))

    def send_now(self) -> None:
        """Send what the kernel takes at once."""
        with contextlib.suppress(OSError):
            self._unsent = self._unsent[self._connection.send(self._unsent) :]

    def send_rest(self, ends_at_s: float) -> None:
        """Send the rest and see the peer end the connection, so that nothing is lost on the way; then close.

        Blocks until `time.monotonic()` is `ends_at_s` at most; what is left then is dropped.
        """
        with self._connection as connection, contextlib.suppress(OSError):
            self._bound(ends_at_s)
            connection.sendall(self._unsent)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(READ_BYTES):
                self._bound(ends_at_s)

    def _bound(self, ends_at_s: float) -> None:
        self._connection.settimeout(max(ends_at_s - time.monotonic(), LEAST_WAIT_S))
