"""The rooms of one namespace that a node subscribes to although none of its sockets is in them. Pure.

A disconnected client may have missed packets of outside services, which only the nodes that subscribe to its rooms
receive.
"""

from collections.abc import Collection, Iterator

__all__ = ["RetainedRooms"]


class RetainedRooms:
    """Counts by how many sessions each room is retained."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def __contains__(self, room: str) -> bool:
        return room in self._counts

    def __iter__(self) -> Iterator[str]:
        return iter(self._counts)

    def add(self, rooms: Collection[str]) -> list[str]:
        """Retain rooms; return those that were not retained before."""
        new = [room for room in rooms if room not in self._counts]
        for room in rooms:
            self._counts[room] = self._counts.get(room, 0) + 1
        return new

    def remove(self, rooms: Collection[str]) -> list[str]:
        """Undo one `add`; return the rooms that are no longer retained."""
        released = []
        for room in rooms:
            count = self._counts.pop(room, 0)
            if count > 1:
                self._counts[room] = count - 1
            elif count:
                released.append(room)
        return released
