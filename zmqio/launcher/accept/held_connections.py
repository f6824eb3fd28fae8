"""Connections of sessions whose worker is stalled: each waits for a limited time until the worker recovers."""

import asyncio
import socket
from collections.abc import Callable
from dataclasses import dataclass

from zmqio.ids import NodeTag
from zmqio.launcher.routing.request_head import RequestHead

__all__ = ["HELD_LIMIT_S", "MAX_HELD", "HeldConnection", "HeldConnections"]

HELD_LIMIT_S = 5.0
"""Seconds that a connection waits for its worker; after that it is answered 503."""
MAX_HELD = 1_000
"""Connections that wait; further ones are answered 503 at once."""


@dataclass(frozen=True, slots=True, eq=False)
class HeldConnection:
    """A connection, the head of its first request, and the address of its client."""

    connection: socket.socket
    head: RequestHead
    peer: str | None


class HeldConnections:
    """The waiting connections, by the node tag of their worker; in the running event loop.

    Args:
        on_expired: called with a connection that has waited for `HELD_LIMIT_S`.
    """

    def __init__(self, on_expired: Callable[[socket.socket], None]) -> None:
        self._on_expired = on_expired
        self._timers: dict[NodeTag, dict[HeldConnection, asyncio.TimerHandle]] = {}

    def hold(self, tag: NodeTag, held: HeldConnection) -> bool:
        """Keep a connection until `take` or the time limit.

        Returns:
            False if `MAX_HELD` connections wait. The caller keeps the connection then.
        """
        if sum(map(len, self._timers.values())) >= MAX_HELD:
            return False
        timer = asyncio.get_running_loop().call_later(HELD_LIMIT_S, self._expire, tag, held)
        self._timers.setdefault(tag, {})[held] = timer
        return True

    def take(self, tag: NodeTag) -> list[HeldConnection]:
        """Remove and return the connections that wait for a worker, the oldest first."""
        timers = self._timers.pop(tag, {})
        for timer in timers.values():
            timer.cancel()
        return list(timers)

    def close(self) -> None:
        """Close all waiting connections."""
        for tag in tuple(self._timers):
            for held in self.take(tag):
                held.connection.close()

    def _expire(self, tag: NodeTag, held: HeldConnection) -> None:
        del self._timers[tag][held]
        if not self._timers[tag]:
            del self._timers[tag]
        self._on_expired(held.connection)
