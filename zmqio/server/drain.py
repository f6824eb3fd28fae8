"""Let clients go one after the other, so that they do not all knock at the other nodes at once.

Knows clients by one method; must not know sessions, the bus or signals.
"""

import asyncio
from collections.abc import Awaitable, Sequence
from random import Random
from typing import Protocol

__all__ = ["Drain", "DrainableClient", "departures"]

SLICE_CLIENTS = 50
"""Clients that are let go in one turn of the loop: about 5 ms, when everybody has to go at once."""
FETCH_GRACE_S = 2.0
"""How long clients that poll may take, after the last one was let go, to fetch what waits for them."""


class DrainableClient(Protocol):
    """A client that can be let go."""

    def leave(self, reason: str) -> None:
        """End its connection, after what still waits for it; nothing happens when it has gone already."""


def departures(count: int, over_s: float, random: Random) -> list[float]:
    """When each of `count` clients goes, in order: seconds after the begin, below `over_s`.

    Each has an equal part of the time to itself and goes at a random moment of it: an even flow without a beat
    that other nodes' drains could fall in with.
    """
    share_s = over_s / max(count, 1)
    return [(index + random.random()) * share_s for index in range(count)]


class Drain:
    """Lets clients go over some time, in random order.

    Args:
        clients: who has to go.
        over_s: seconds that it may take.
        random: a source of chance.
    """

    def __init__(self, clients: Sequence[DrainableClient], over_s: float, random: Random | None = None) -> None:
        random = random or Random()
        self._clients = random.sample(clients, len(clients))
        self._departures = departures(len(clients), over_s, random)
        self._hurried = asyncio.Event()

    def hurry(self) -> None:
        """Let everybody who is still there go now."""
        self._hurried.set()

    async def run(self, reason: str, emptied: Awaitable[None]) -> None:
        """Let all of them go; returns when nobody is left, or a moment after the last one was told.

        Args:
            reason: what their `disconnect` handlers get.
            emptied: done when nobody is left.
        """
        watch = asyncio.ensure_future(emptied)
        watch.add_done_callback(lambda _: self.hurry())
        try:
            await self._let_go(reason)
            await asyncio.wait((watch,), timeout=0 if self._hurried.is_set() else FETCH_GRACE_S)
        finally:
            watch.cancel()

    async def _let_go(self, reason: str) -> None:
        begun_at = asyncio.get_running_loop().time()
        for number, (client, after_s) in enumerate(zip(self._clients, self._departures, strict=True), 1):
            await self._wait_until(begun_at + after_s)
            client.leave(reason)
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
