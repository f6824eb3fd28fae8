"""Subscriptions that brokers have not applied yet, and whoever waits for them."""

import asyncio
from collections.abc import Awaitable, Collection, Generator, Iterable
from functools import partial
from typing import Any

from zmqio.adapter.base import DONE

__all__ = ["JoinBarriers"]


class JoinBarriers:
    """Room -> the barrier of its subscription, while that is pending."""

    def __init__(self) -> None:
        self._pending: dict[str, asyncio.Future[None]] = {}

    def begin(self, rooms: Iterable[str], barrier: Awaitable[None]) -> None:
        """Rooms were subscribed to; `barrier` is done when the brokers have applied it."""
        future = asyncio.ensure_future(barrier)
        if future.done():
            return
        names = tuple(rooms)
        self._pending.update(dict.fromkeys(names, future))
        future.add_done_callback(partial(self._applied, names))

    def forget(self, rooms: Iterable[str]) -> None:
        """The subscriptions were taken back: who enters one of these rooms again starts a barrier of its own."""
        if self._pending:
            for room in rooms:
                self._pending.pop(room, None)

    def of(self, rooms: Collection[str]) -> Awaitable[None]:
        """Done when nothing is pending for `rooms`; a second member waits for the barrier of the first."""
        if not self._pending:
            return DONE
        barriers = {self._pending[room] for room in rooms if room in self._pending}
        return _All(tuple(barriers)) if barriers else DONE

    def _applied(self, rooms: tuple[str, ...], barrier: asyncio.Future[None]) -> None:
        for room in rooms:
            if self._pending.get(room) is barrier:
                del self._pending[room]


class _All:
    """Several futures as one awaitable; whoever is cancelled while waiting does not cancel them for the others."""

    __slots__ = ("_futures",)

    def __init__(self, futures: tuple[asyncio.Future[None], ...]) -> None:
        self._futures = futures

    def __await__(self) -> Generator[Any, None, None]:
        for future in self._futures:
            if not future.done():
                yield from asyncio.shield(future).__await__()
