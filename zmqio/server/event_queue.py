"""Events of one client, handled one after the other.

A task lives only while there is something to handle. Knows nothing of Socket.IO: an item is whatever
`handle` takes.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Generic, TypeVar

__all__ = ["EventPool", "EventQueue"]

Item = TypeVar("Item")


class EventQueue(Generic[Item]):
    """A FIFO that is handled in order, and tells its reader when to read more slowly.

    Args:
        handle: handles one item; it has to deal with its own errors.
        spawn: runs a coroutine in a task.
        max_items: most items that wait. More are still taken, but `put` then returns an awaitable that is done
            when half of them are handled: whoever reads from the client waits for it.
    """

    __slots__ = ("_handle", "_idle", "_items", "_max_items", "_room", "_running", "_spawn")

    def __init__(
        self,
        handle: Callable[[Item], Awaitable[None]],
        spawn: Callable[[Coroutine[Any, Any, None]], object],
        max_items: int,
    ) -> None:
        self._handle = handle
        self._spawn = spawn
        self._max_items = max_items
        self._items: deque[Item] = deque()
        self._running = 0
        self._room: asyncio.Future[None] | None = None
        self._idle: asyncio.Future[None] | None = None

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: Item) -> Awaitable[None] | None:
        """Add an item; the result, if any, is done when the client may be read on."""
        self._items.append(item)
        if not self._running:
            self._running = 1
            self._spawn(self._run())
        return None if len(self._items) <= self._max_items else self._wait_for_room()

    async def drained(self) -> None:
        """Wait until nothing is handled and nothing waits."""
        while self._running:
            if self._idle is None:
                self._idle = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._idle)

    async def _run(self) -> None:
        try:
            while self._items:
                await self._handle(self._items.popleft())
                if self._room is not None and len(self._items) <= self._max_items // 2:
                    self.release()
        finally:
            self._ended()

    def release(self) -> None:
        """Let the client be read on, however much waits."""
        if self._room is not None:
            self._room.set_result(None)
            self._room = None

    def _wait_for_room(self) -> Awaitable[None]:
        if self._room is None:
            self._room = asyncio.get_running_loop().create_future()
        return asyncio.shield(self._room)

    def _ended(self) -> None:
        """A run is over; with the last one nothing is handled any more."""
        self._running -= 1
        if self._running:
            return
        self.release()
        if self._idle is not None:
            self._idle.set_result(None)
            self._idle = None


class EventPool(EventQueue[Item]):
    """Begins items in the order in which they came, and does not wait for one to end before the next begins.

    Args:
        handle: handles one item; it has to deal with its own errors.
        spawn: runs a coroutine in a task.
        max_items: most items that are handled at once. More are still taken and wait, but `put` then returns an
            awaitable that is done when none waits any more: whoever reads from the client waits for it.
    """

    __slots__ = ()

    def put(self, item: Item) -> Awaitable[None] | None:
        """Add an item; the result, if any, is done when the client may be read on."""
        if self._running < self._max_items:
            self._running += 1
            self._spawn(self._begin(item))
            return None
        self._items.append(item)
        return self._wait_for_room()

    async def _begin(self, item: Item) -> None:
        try:
            await self._handle(item)
            while self._items:
                following = self._items.popleft()
                if not self._items:
                    self.release()
                await self._handle(following)
        finally:
            self._ended()
