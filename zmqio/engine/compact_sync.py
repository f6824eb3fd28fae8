"""What a connection needs of `asyncio.Event` and `asyncio.Queue`, without the deques that they hold while idle.

An empty deque takes 760 bytes, and uvicorn's WebSocket protocol has four of them. These hold one only while
something is in it. Semantics are asyncio's, except that nobody's turn is kept among several who wait.

Knows asyncio futures; must not know connections.
"""

import asyncio
from collections import deque
from typing import Generic, TypeVar

__all__ = ["CompactEvent", "CompactQueue"]

Item = TypeVar("Item")


class CompactEvent:
    """An event that few tasks wait for, and mostly none."""

    __slots__ = ("_is_set", "_waiters")

    def __init__(self) -> None:
        self._is_set = False
        self._waiters: list[asyncio.Future[None]] = []

    def is_set(self) -> bool:
        """Whether it is set."""
        return self._is_set

    def set(self) -> None:
        """Set it, and wake all who wait."""
        self._is_set = True
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)

    def clear(self) -> None:
        """Make whoever comes from now on wait."""
        self._is_set = False

    async def wait(self) -> bool:
        """Wait until it is set; True, as `asyncio.Event` has it."""
        if self._is_set:
            return True
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            await waiter
        finally:
            self._waiters.remove(waiter)
        return True


class CompactQueue(Generic[Item]):
    """A first-in, first-out queue without a bound: who fills it has to stop reading meanwhile."""

    __slots__ = ("_filled", "_items")

    def __init__(self) -> None:
        self._items: deque[Item] | None = None
        self._filled = CompactEvent()

    def empty(self) -> bool:
        """Whether nothing is in it."""
        return self._items is None

    def put_nowait(self, item: Item) -> None:
        """Put an item behind the others."""
        if self._items is None:
            self._items = deque()
        self._items.append(item)
        self._filled.set()

    async def get(self) -> Item:
        """Take the first item; waits for one. An item is never lost to a caller that is cancelled."""
        while self._items is None:
            self._filled.clear()
            await self._filled.wait()
        item = self._items.popleft()
        if not self._items:
            self._items = None
        return item
