"""Queues of one client's events: handled one after the other (`EventQueue`) or concurrently (`EventPool`).

A task exists only while there are items to handle. The queues know nothing of Socket.IO: an item is whatever
`handle` accepts.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from time import monotonic
from typing import Any, Generic, Protocol, TypeVar

from zmqio.server.event_budget import EventBudget

__all__ = ["EventPool", "EventQueue"]

TURN_S = 0.005
"""Seconds after which the event loop gets its turn, if handlers do not suspend. Hundreds of events may wait."""

Item = TypeVar("Item")


class QueueTasks(Protocol):
    """Owns the tasks of queues."""

    def spawn_reporting(self, work: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        """Run a coroutine in a task, which `report_end` is called with as its last step."""

    def report_end(self, task: "asyncio.Task[None] | None") -> None:
        """Forget a task that is about to end."""


class EventQueue(Generic[Item]):
    """A FIFO whose items are handled one after the other, with back-pressure for its reader.

    Args:
        handle: handles one item; must not raise.
        tasks: runs coroutines in tasks.
        max_items: most items that are queued. Above this, `put` still accepts the item but returns an awaitable
            that completes when the queue is half empty; the reader must await it.
        budget: counts the bytes of items that are queued or being handled; other queues may share it. If it is
            full, `put` returns an awaitable, too.

    Attributes:
        max_items: as given.
    """

    __slots__ = ("_budget", "_handle", "_idle", "_items", "_room", "_running", "_task", "_tasks", "max_items")

    def __init__(
        self,
        handle: Callable[[Item], Awaitable[None]],
        tasks: QueueTasks,
        max_items: int,
        budget: EventBudget,
    ) -> None:
        self.max_items = max_items
        self._handle = handle
        self._tasks = tasks
        self._budget = budget
        self._items: deque[tuple[Item, int]] = deque()
        self._running = 0
        self._task: asyncio.Task[None] | None = None
        self._room: asyncio.Future[None] | None = None
        self._idle: asyncio.Future[None] | None = None

    def __len__(self) -> int:
        return len(self._items)

    @property
    def waiting_bytes(self) -> int:
        """Bytes of the items that are queued."""
        return sum(size for _, size in self._items)

    def put(self, item: Item, size: int = 0) -> Awaitable[None] | None:
        """Add an item of `size` bytes.

        Returns:
            None, or an awaitable that completes when the client's next message may be read.
        """
        self._items.append((item, size))
        is_full = self._budget.add(size)
        if not self._running:
            self._start(self._run())
        if len(self._items) > self.max_items:
            return self._wait_for_room()
        return self._budget.wait_for_room() if is_full else None

    def drop_waiting(self) -> int:
        """Drop the items that are queued and return their number. Those being handled are not affected."""
        count = len(self._items)
        while self._items:
            self._budget.release(self._items.popleft()[1])
        self.release_reader()
        return count

    async def wait_until_idle(self) -> None:
        """Wait until no item is queued or being handled."""
        while self._running:
            if self._idle is None:
                self._idle = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._idle)

    def release_reader(self) -> None:
        """Let the reader continue, however many items are queued."""
        if self._room is not None:
            self._room.set_result(None)
            self._room = None

    async def _run(self) -> None:
        pause_at = monotonic() + TURN_S
        try:
            while self._items:
                item, size = self._items.popleft()
                await self._handle(item)
                self._budget.release(size)
                if self._items and monotonic() >= pause_at:
                    await asyncio.sleep(0)
                    pause_at = monotonic() + TURN_S
                if self._room is not None and len(self._items) <= self.max_items // 2:
                    self.release_reader()
        finally:
            self._run_ended()

    def _start(self, run: Coroutine[Any, Any, None]) -> None:
        self._running += 1
        self._budget.queues.add(self)
        self._task = self._tasks.spawn_reporting(run)

    def _wait_for_room(self) -> Awaitable[None]:
        if self._room is None:
            self._room = asyncio.get_running_loop().create_future()
        return asyncio.shield(self._room)

    def _ending_task(self) -> "asyncio.Task[None] | None":
        return self._task  # the only one; `asyncio.current_task` takes longer than the rest of `_run_ended`

    def _run_ended(self) -> None:
        self._tasks.report_end(self._ending_task())
        self._running -= 1
        if self._running:
            return
        self._task = None
        self._budget.queues.discard(self)
        if self._room is not None:
            self.release_reader()
        if self._idle is not None:
            self._idle.set_result(None)
            self._idle = None


class EventPool(EventQueue[Item]):
    """Starts items in order of arrival without waiting for the previous one to finish (`concurrent_events`).

    Args:
        handle: handles one item; must not raise.
        tasks: runs coroutines in tasks.
        max_items: most items that are handled at the same time. Above this, `put` queues the item and returns an
            awaitable that completes when no item is queued; the reader must await it.
        budget: as for `EventQueue`.
    """

    __slots__ = ()

    def put(self, item: Item, size: int = 0) -> Awaitable[None] | None:
        """Start or queue an item of `size` bytes.

        Returns:
            None, or an awaitable that completes when the client's next message may be read.
        """
        is_full = self._budget.add(size)
        self._items.append((item, size))
        if self._running >= self.max_items:
            return self._wait_for_room()
        # The task begins with the first item that is left then, so that items begin in order.
        self._start(self._run())
        return self._budget.wait_for_room() if is_full else None

    async def _run(self) -> None:
        try:
            while self._items:
                item, size = self._items.popleft()
                if not self._items:
                    self.release_reader()
                await self._handle(item)
                self._budget.release(size)
        finally:
            self._run_ended()

    def _ending_task(self) -> "asyncio.Task[None] | None":
        return asyncio.current_task()
