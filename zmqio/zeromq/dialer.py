"""Connects a socket to a broker's endpoint, however long that takes.

The pause between attempts never exceeds 100 ms: a restarting broker binds its subscribe endpoint 0.3 s before its
publish endpoint and relies on every node having subscribed in between.
"""

import asyncio
import contextlib
import itertools
import os
import socket
from collections.abc import Callable

from zmqio.links.resolver import HostResolver, SocketAddress

__all__ = ["KEEPALIVE_IDLE_S", "KEEPALIVE_INTVL_S", "KEEPALIVE_PROBES", "Dialer"]

FIRST_PAUSE_S = 0.01
LONGEST_PAUSE_S = 0.1
ATTEMPT_LIMIT_S = 5.0
"""Seconds until an unanswered attempt is abandoned in favour of the next."""
# With these, the kernel detects an unreachable peer after 10 s.
KEEPALIVE_IDLE_S = 5
KEEPALIVE_INTVL_S = 1
KEEPALIVE_PROBES = 5


class Dialer:
    """Connects once, with as many attempts as needed. Belongs to the running event loop.

    Args:
        endpoint: `tcp://host:port` or `ipc://path`.
        resolver: resolves the host of a `tcp` endpoint; attempts take its addresses in turn.
        connected: called once, on the loop, with a connected, non-blocking stream socket.
        failed: called on the loop with the reason of each failed attempt.
        wait_s: seconds until the first attempt.
    """

    def __init__(
        self,
        endpoint: str,
        resolver: HostResolver,
        connected: Callable[[socket.socket], None],
        failed: Callable[[str], None] = lambda _: None,
        wait_s: float = 0.0,
    ) -> None:
        self._endpoint = endpoint
        self._resolver = resolver
        self._connected = connected
        self._failed = failed
        self._task = asyncio.create_task(self._dial(wait_s), name=f"dial {endpoint}")

    def close(self) -> None:
        """Stop; neither callback is called from now on."""
        if not self._task.get_loop().is_closed():
            self._task.cancel()

    async def _dial(self, wait_s: float) -> None:
        pause_s = FIRST_PAUSE_S
        for attempt in itertools.count():
            await asyncio.sleep(wait_s)
            try:
                connection = await self._attempt(attempt)
            except Exception as error:  # noqa: BLE001  outer edge; too many open files, for example
                self._failed(_reason(error))
            else:
                self._connected(connection)
                return
            wait_s, pause_s = pause_s, min(2 * pause_s, LONGEST_PAUSE_S)

    async def _attempt(self, attempt: int) -> socket.socket:
        with contextlib.ExitStack() as on_failure:
            async with asyncio.timeout(ATTEMPT_LIMIT_S):
                addresses = await self._addresses()
                family, address = addresses[attempt % len(addresses)]
                connection = on_failure.enter_context(socket.socket(family, socket.SOCK_STREAM))
                connection.setblocking(False)
                if family == socket.AF_UNIX:
                    # Never in progress: connected, or refused because the listener's queue is full (EAGAIN).
                    connection.connect(address)
                else:
                    _set_tcp_options(connection)
                    await asyncio.get_running_loop().sock_connect(connection, address)
            on_failure.pop_all()
            return connection

    async def _addresses(self) -> list[SocketAddress]:
        if self._endpoint.startswith("ipc://"):
            path = self._endpoint.removeprefix("ipc://")
            return [(socket.AF_UNIX, path.replace("@", "\0", 1) if path[0] == "@" else path)]
        return await self._resolver.resolve(int(self._endpoint.rpartition(":")[2]))


def _reason(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno:
        return os.strerror(error.errno)  # asyncio's own text repeats the address
    return getattr(error, "strerror", None) or str(error) or f"no answer in {ATTEMPT_LIMIT_S:g} s"


def _set_tcp_options(connection: socket.socket) -> None:
    """Send small messages at once, and detect an unreachable peer after 10 s."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    with contextlib.suppress(AttributeError):  # not every system has them under these names
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_IDLE_S)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_INTVL_S)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, KEEPALIVE_PROBES)
