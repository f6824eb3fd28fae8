"""Rooms that have lost their last member here, and whose topics are unsubscribed from in slices.

A client in many thousands of rooms that goes must not keep the event loop from the others. Until a room's turn has
come, this node receives its messages and delivers them to nobody. Knows no topics.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable
from itertools import islice

__all__ = ["SLICE_ROOMS", "LeavingRooms"]

SLICE_ROOMS = 500
"""Rooms per iteration of the event loop: about 2 ms."""


class LeavingRooms:
    """The rooms to unsubscribe from.

    Args:
        unsubscribe: called with some of them.
    """

    def __init__(self, unsubscribe: Callable[[Collection[str]], None]) -> None:
        self._unsubscribe = unsubscribe
        self._rooms: dict[str, None] = {}
        self._is_scheduled = False

    def add(self, rooms: Iterable[str]) -> None:
        """Unsubscribe from rooms: from a few at once, otherwise in slices."""
        self._rooms.update(dict.fromkeys(rooms))
        if len(self._rooms) <= SLICE_ROOMS:
            self.flush()
        else:
            self._schedule()

    def take_back(self, rooms: Collection[str]) -> Collection[str]:
        """Keep the subscriptions of rooms that have a member again; return the rooms that have none."""
        if not self._rooms:
            return rooms
        waiting = self._rooms
        unsubscribed = [room for room in rooms if room not in waiting]
        for room in rooms:
            waiting.pop(room, None)
        return unsubscribed

    def flush(self) -> None:
        """Unsubscribe from all of them now."""
        rooms, self._rooms = self._rooms, {}
        if rooms:
            self._unsubscribe(rooms)

    def _unsubscribe_slice(self) -> None:
        self._is_scheduled = False
        rooms = tuple(islice(self._rooms, SLICE_ROOMS))
        for room in rooms:
            del self._rooms[room]
        if rooms:
            self._unsubscribe(rooms)
        if self._rooms:
            self._schedule()

    def _schedule(self) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            asyncio.get_running_loop().call_soon(self._unsubscribe_slice)
