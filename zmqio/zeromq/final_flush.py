"""Sends the last data of a connection after its owner has closed it, if need be without an event loop."""

import contextlib
import socket
import time
from collections.abc import Iterable

__all__ = ["FinalFlush"]

READ_BYTES = 1 << 16
MIN_TIMEOUT_S = 0.001


class FinalFlush:
    """The unsent data of a closed connection, with its socket. May be used on any thread.

    Args:
        connection: a non-blocking socket; owned by this object from now on.
        unsent: data in order.
    """

    def __init__(self, connection: socket.socket, unsent: Iterable[bytes | memoryview]) -> None:
        self._connection = connection
        self._unsent = memoryview(b"".join(unsent))

    def send_now(self) -> None:
        """Send what the kernel accepts without blocking."""
        with contextlib.suppress(OSError):
            self._unsent = self._unsent[self._connection.send(self._unsent) :]

    def send_rest(self, ends_at_s: float) -> None:
        """Send the rest, wait until the peer has closed the connection, and close.

        The wait ensures that no data is lost in transit. Blocks at most until `time.monotonic()` reaches
        `ends_at_s`; data unsent by then is dropped.
        """
        with self._connection as connection, contextlib.suppress(OSError):
            self._set_timeout(ends_at_s)
            connection.sendall(self._unsent)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(READ_BYTES):
                self._set_timeout(ends_at_s)

    def _set_timeout(self, ends_at_s: float) -> None:
        self._connection.settimeout(max(ends_at_s - time.monotonic(), MIN_TIMEOUT_S))
