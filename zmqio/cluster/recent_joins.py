"""Rooms that other nodes were just asked to add sockets to, and may not have subscribed to yet.

A node that receives a join subscribes to the room's topic, and the broker applies that some time later. Until
then, messages to the room must go to a topic that every node subscribes to, or the new members would miss them.
"""

import time
from collections.abc import Callable, Hashable, Iterable
from typing import Generic, TypeVar

__all__ = ["SUBSCRIBED_AFTER_S", "RecentJoins"]

SUBSCRIBED_AFTER_S = 5.0
"""A node that has not subscribed by then counts as dead, or requests what it missed when it reconnects."""


Room = TypeVar("Room", bound=Hashable)
"""The name of a room, or its namespace and name."""


class RecentJoins(Generic[Room]):
    """The rooms of one sender's recent joins.

    Joins older than `SUBSCRIBED_AFTER_S` are forgotten at each call, which bounds the size.

    Args:
        clock: gives the seconds of any steady clock.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until: dict[Room, float] = {}

    def add(self, rooms: Iterable[Room]) -> None:
        """Note that other nodes are being asked to join sockets to these rooms."""
        self._forget()
        until = self._clock() + SUBSCRIBED_AFTER_S
        for room in rooms:
            self._until.pop(room, None)  # so that the dict stays in the order of the times
            self._until[room] = until

    def includes_any(self, rooms: Iterable[Room]) -> bool:
        """Whether one of these rooms had a recent join."""
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
