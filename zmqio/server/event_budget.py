"""The memory that the events of one client take until they are handled, over all its namespaces.

Knows bytes and queues; it must not know events, sockets or the connection.
"""

import asyncio
from collections.abc import Awaitable
from typing import Protocol

__all__ = ["EventBudget"]


class DroppableQueue(Protocol):
    """A queue of events."""

    @property
    def waiting_bytes(self) -> int:
        """Estimated bytes of the events that no handler has received yet."""

    def drop_waiting(self) -> int:
        """Drop these events and return their number."""


class EventBudget:
    """Counts the estimated bytes of events that wait or are being handled.

    Args:
        max_bytes: beyond this, the reader waits until half is free. One event is always accepted.

    Attributes:
        bytes: current total.
        queues: the queues that currently have events.
    """

    __slots__ = ("_events", "_room", "bytes", "max_bytes", "queues")

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.bytes = 0
        self.queues: set[DroppableQueue] = set()
        self._events = 0
        self._room: asyncio.Future[None] | None = None

    @property
    def full(self) -> bool:
        """Whether the reader has to wait. One event alone never makes it wait, however large."""
        return self.bytes > self.max_bytes and self._events > 1

    @property
    def waiting_bytes(self) -> int:
        """Estimated bytes of the events that no handler has received yet."""
        return sum(queue.waiting_bytes for queue in self.queues)

    def add(self, size: int) -> bool:
        """Count an event; return whether the reader has to wait, as `full`."""
        self.bytes += size
        self._events += 1
        return self.bytes > self.max_bytes and self._events > 1

    def release(self, size: int) -> None:
        """Stop counting an event, and let the reader continue if there is room."""
        self.bytes -= size
        self._events -= 1
        if self._room is not None and (self.bytes <= self.max_bytes // 2 or self._events <= 1):
            self._room.set_result(None)
            self._room = None

    def wait_for_room(self) -> Awaitable[None]:
        """Return an awaitable that completes when the reader may continue."""
        if self._room is None:
            self._room = asyncio.get_running_loop().create_future()
        return asyncio.shield(self._room)

    def drop_waiting(self) -> int:
        """Drop the events that no handler has received yet, and return their number."""
        return sum(queue.drop_waiting() for queue in list(self.queues))
