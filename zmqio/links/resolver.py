"""Addresses of a broker's host, looked up once for all connections of a link, at most about once a second.

Knows names and addresses. Knows nothing of ports, connections or retries.
"""

import asyncio
import contextlib
import socket
import threading
from typing import Any, TypeAlias

__all__ = ["HostResolver", "SocketAddress"]

SocketAddress: TypeAlias = tuple[socket.AddressFamily, Any]
"""Family and address as `socket.connect` takes it (Any: a tuple of two or four, or a path)."""

KEEP_S = 1.0
"""Seconds that a result is used before the name is looked up again, so that a broker that has moved is found."""
KEEP_FAILURE_S = 0.1
KEEP_FAILURE_MOST_S = 3.0
"""A failure is kept for 0.1 s; each further failure in a row doubles that, up to this."""


class HostResolver:
    """Resolves one host name for all callers. Belongs to the running event loop.

    At most one look-up is in progress. It runs on a daemon thread rather than in the loop's executor: a resolver
    that hangs would otherwise take threads from the application and delay the end of the loop and of the process.

    Args:
        host: a name, or an IP address, which needs no look-up.
    """

    def __init__(self, host: str) -> None:
        self._host = host
        self._lookup: asyncio.Future[list[SocketAddress]] | None = None
        self._expires_at_s = 0.0
        self._failures = 0

    async def resolve(self, port: int) -> list[SocketAddress]:
        """Return all TCP addresses of the host, with `port`.

        Raises:
            OSError: the name cannot be resolved; its `strerror` says why.
        """
        try:
            found = _resolve(self._host, socket.AI_NUMERICHOST)
        except (OSError, UnicodeError):
            # Shielded: others wait for the same look-up.
            found = await asyncio.shield(self._current_lookup())
        return [(family, (address[0], port, *address[2:])) for family, address in found]

    def _current_lookup(self) -> asyncio.Future[list[SocketAddress]]:
        loop = asyncio.get_running_loop()
        if self._lookup is None or (self._lookup.done() and loop.time() >= self._expires_at_s):
            self._lookup = loop.create_future()
            self._lookup.add_done_callback(self._set_expiry)
            thread = threading.Thread(target=self._look_up, args=(self._lookup,), daemon=True)
            try:
                thread.start()
            except RuntimeError as error:  # the system has no more threads
                self._lookup.set_exception(OSError(None, str(error)))
        return self._lookup

    def _look_up(self, lookup: asyncio.Future[list[SocketAddress]]) -> None:
        """Resolve the name; runs on its own thread."""
        try:
            result: list[SocketAddress] | OSError = _resolve(self._host)
        except Exception as error:  # noqa: BLE001  outer edge of the thread; the look-up is repeated
            reason = getattr(error, "strerror", None) or error
            result = OSError(None, f"cannot resolve the host name {self._host!r}: {reason}")
        with contextlib.suppress(RuntimeError):  # the loop is closed
            lookup.get_loop().call_soon_threadsafe(_finish, lookup, result)

    def _set_expiry(self, lookup: asyncio.Future[list[SocketAddress]]) -> None:
        if lookup.cancelled() or lookup.exception() is None:
            self._failures, keep_s = 0, KEEP_S
        else:
            keep_s = min(KEEP_FAILURE_S * 2**self._failures, KEEP_FAILURE_MOST_S)
            self._failures += 1
        self._expires_at_s = lookup.get_loop().time() + keep_s


def _resolve(host: str, flags: int = 0) -> list[SocketAddress]:
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=flags)
    return [(family, address) for family, _, _, _, address in found]


def _finish(lookup: asyncio.Future[list[SocketAddress]], result: list[SocketAddress] | OSError) -> None:
    if isinstance(result, OSError):
        lookup.set_exception(result)
    else:
        lookup.set_result(result)
