"""Members with the same time limit: one queue and one timer for all of them.

The time limit is the same for all members, so the oldest is always the first that is due. Each operation takes
constant time however many members there are. A timer for each member would take five times the memory.

Knows nothing of sessions: members are any hashable objects.
"""

import asyncio
from collections.abc import Callable
from itertools import takewhile
from typing import Generic, TypeVar

__all__ = ["DeadlineQueue"]

# Most members that expire in one turn of the event loop.
BATCH = 200

T = TypeVar("T")


class DeadlineQueue(Generic[T]):
    """Calls `expire` for each member that was not removed in time.

    Args:
        timeout_s: seconds that a member has.
        expire: called with each member whose time is over; the queue has already forgotten it.
    """

    def __init__(self, timeout_s: float, expire: Callable[[T], None]) -> None:
        self._timeout_s = timeout_s
        self._expire = expire
        self._due_s: dict[T, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._due_s)

    def add(self, member: T) -> None:
        """Start the time limit of a new member."""
        loop = asyncio.get_running_loop()
        due_s = self._due_s[member] = loop.time() + self._timeout_s
        if self._timer is None:
            self._timer = loop.call_at(due_s, self._fire)

    def remove(self, member: T) -> None:
        """Forget a member; does nothing if it is unknown."""
        self._due_s.pop(member, None)

    def stop(self) -> None:
        """Forget all members."""
        self._due_s.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _fire(self) -> None:
        loop = asyncio.get_running_loop()
        now_s = loop.time()
        due = list(takewhile(lambda member: self._due_s[member] <= now_s, self._due_s))[:BATCH]
        for member in due:
            if self._due_s.pop(member, None) is not None:  # an earlier one may have removed it
                self._expire(member)
        first_s = next(iter(self._due_s.values()), None)
        self._timer = None if first_s is None else loop.call_at(first_s, self._fire)
