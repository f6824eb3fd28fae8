"""Lets joins wait for subscriptions that the brokers have not applied yet."""

import asyncio
from collections.abc import Awaitable, Collection, Generator, Iterable
from functools import partial
from typing import Any

from zmqio.adapter.base import DONE

__all__ = ["JoinBarriers"]


class JoinBarriers:
    """Room -> the pending barrier of its subscription."""

    def __init__(self) -> None:
        self._pending: dict[str, asyncio.Future[None]] = {}

    def add(self, rooms: Iterable[str], barrier: Awaitable[None]) -> None:
        """Note that rooms were subscribed to; `barrier` completes when the brokers have applied it."""
        future = asyncio.ensure_future(barrier)
        if future.done():
            return
        names = tuple(rooms)
        self._pending.update(dict.fromkeys(names, future))
        future.add_done_callback(partial(self._applied, names))

    def discard(self, rooms: Iterable[str]) -> None:
        """Forget the barriers of rooms that were unsubscribed from; a later subscription has its own."""
        if self._pending:
            for room in rooms:
                self._pending.pop(room, None)

    def wait_for(self, rooms: Collection[str]) -> Awaitable[None]:
        """An awaitable that completes when no subscription of `rooms` is pending."""
        if not self._pending:
            return DONE
        barriers = {self._pending[room] for room in rooms if room in self._pending}
        return _AllDone(tuple(barriers)) if barriers else DONE

    def _applied(self, rooms: tuple[str, ...], barrier: asyncio.Future[None]) -> None:
        for room in rooms:
            if self._pending.get(room) is barrier:
                del self._pending[room]


class _AllDone:
    """Awaits several futures. Cancelling one waiter does not cancel the futures for the others."""

    __slots__ = ("_futures",)

    def __init__(self, futures: tuple[asyncio.Future[None], ...]) -> None:
        self._futures = futures

    def __await__(self) -> Generator[Any, None, None]:
        for future in self._futures:
            if not future.done():
                yield from asyncio.shield(future).__await__()
