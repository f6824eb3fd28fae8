"""Closes the clients of a node one after the other, so that they do not all reconnect to other nodes at once.

Knows clients by one method; must not know sessions, the bus or signals.
"""

import asyncio
from collections.abc import Awaitable, Sequence
from random import Random
from typing import Protocol

__all__ = ["Drain", "DrainableClient", "departure_times"]

SLICE_CLIENTS = 50
"""Clients that are closed in one turn of the event loop when no time is left: about 5 ms."""
FETCH_GRACE_S = 2.0
"""Seconds that polling clients have, after the last one was closed, to fetch their queued packets."""


class DrainableClient(Protocol):
    """A client that can be closed."""

    def close_gracefully(self, reason: str) -> None:
        """Close the connection after its queued packets are sent. Does nothing if it has closed."""


def departure_times(count: int, over_s: float, random: Random) -> list[float]:
    """Draw the time at which each of `count` clients is closed: seconds after the start, ascending, up to
    `over_s`.

    Each client gets an equal part of the time and is closed at a random moment of it. The flow is even, but has no
    rhythm that drains of other nodes could coincide with.
    """
    share_s = over_s / max(count, 1)
    return [(index + random.random()) * share_s for index in range(count)]


class Drain:
    """Closes clients over some time, in random order.

    Args:
        clients: the clients to close.
        over_s: seconds that this may take.
        random: the source of randomness.
    """

    def __init__(self, clients: Sequence[DrainableClient], over_s: float, random: Random | None = None) -> None:
        random = random or Random()
        self._clients = random.sample(clients, len(clients))
        self._times = departure_times(len(clients), over_s, random)
        self._hurried = asyncio.Event()

    def finish_now(self) -> None:
        """Close all remaining clients now."""
        self._hurried.set()

    async def run(self, reason: str, emptied: Awaitable[None]) -> None:
        """Close all clients; return when none is connected, or `FETCH_GRACE_S` after the last was closed.

        Args:
            reason: passed to the `disconnect` handlers.
            emptied: completes when no client is connected.
        """
        watch = asyncio.ensure_future(emptied)
        watch.add_done_callback(lambda _: self.finish_now())
        try:
            await self._close_all(reason)
            await asyncio.wait((watch,), timeout=0 if self._hurried.is_set() else FETCH_GRACE_S)
        finally:
            watch.cancel()

    async def _close_all(self, reason: str) -> None:
        started_at = asyncio.get_running_loop().time()
        for number, (client, after_s) in enumerate(zip(self._clients, self._times, strict=True), 1):
            await self._wait_until(started_at + after_s)
            client.close_gracefully(reason)
            if number % SLICE_CLIENTS == 0:
                await asyncio.sleep(0)

    async def _wait_until(self, at: float) -> None:
        if self._hurried.is_set() or at <= asyncio.get_running_loop().time():
            return
        try:
            async with asyncio.timeout_at(at):
                await self._hurried.wait()
        except TimeoutError:
            pass
