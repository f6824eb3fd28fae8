"""Events of one client, handled at the same time (`concurrent_events`), with the bound of `EventQueue`."""

from collections.abc import Awaitable
from typing import TypeVar

from zmqio.server.event_queue import EventQueue

__all__ = ["EventPool"]

Item = TypeVar("Item")


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
