"""Rooms that other nodes were told to put sockets in, a moment ago: they may not hear the room's topic yet.

A node that is told subscribes when it has read that, and the broker applies it some time later. What is sent to
the room meanwhile has to go where every node hears it, or the new members would miss it.
"""

import time
from collections.abc import Callable, Iterable

__all__ = ["SETTLED_AFTER_S", "RecentJoins"]

SETTLED_AFTER_S = 5.0
"""A node that has not subscribed by then is taken for dead, or hears of what it misses when it is back."""


class RecentJoins:
    """What one sender remembers of the rooms that it has told others to put sockets in.

    Bounded by what it tells in `SETTLED_AFTER_S`: the oldest are forgotten at each call.

    Args:
        clock: gives the seconds of any steady clock.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until: dict[str, float] = {}

    def told(self, rooms: Iterable[str]) -> None:
        """Others are told just now."""
        self._forget()
        until = self._clock() + SETTLED_AFTER_S
        for room in rooms:
            self._until.pop(room, None)  # its new place is the last one
            self._until[room] = until

    def concern(self, rooms: Iterable[str]) -> bool:
        """Whether one of these is such a room."""
        if not self._until:
            return False
        self._forget()
        return not self._until.keys().isdisjoint(rooms)

    def _forget(self) -> None:
        now = self._clock()
        while self._until:
            room = next(iter(self._until))
            if self._until[room] > now:
                return
            del self._until[room]
