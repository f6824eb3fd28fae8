"""Which socket of this process is in which room: an index both ways.

Pure: knows sids and room names, no sockets, topics or clock. Says which rooms came to life here and which died
out here, so that a cluster can subscribe and unsubscribe ("first in" and "last out").
"""

from collections.abc import Collection, Iterable
from typing import NamedTuple

from zmqio.ids import Sid

__all__ = ["Change", "RoomIndex"]

_NOBODY: dict[Sid, None] = {}
_NO_ROOMS: dict[str, None] = {}


class Change(NamedTuple):
    """What an operation did.

    Attributes:
        rooms: the rooms that the socket entered (left), in the order of the call.
        edges: those of them that became non-empty (empty) here.
    """

    rooms: list[str]
    edges: list[str]


class RoomIndex:
    """Rooms and their members. Both keep the order in which they came (a dict is an ordered set).

    Every operation costs O(rooms named) or O(members reached). The memory is that of the memberships: a room
    without members and a sid without an entry take nothing.
    """

    __slots__ = ("_members", "_rooms_of")

    def __init__(self) -> None:
        self._members: dict[str, dict[Sid, None]] = {}
        self._rooms_of: dict[Sid, dict[str, None]] = {}

    def add(self, sid: Sid, rooms: Iterable[str]) -> Change:
        """Put a socket in rooms; the ones it is in already are passed over."""
        change = Change([], [])
        mine = self._rooms_of.setdefault(sid, {})
        for room in rooms:
            if room in mine:
                continue
            mine[room] = None
            change.rooms.append(room)
            members = self._members.get(room)
            if members is None:
                self._members[room] = {sid: None}
                change.edges.append(room)
            else:
                members[sid] = None
        return change

    def remove(self, sid: Sid, rooms: Iterable[str]) -> Change:
        """Take a socket out of rooms; the ones it is not in are passed over.

        A socket that is in no room any more is still one of the namespace, until `remove_all`.
        """
        change = Change([], [])
        mine = self._rooms_of.get(sid)
        if mine is None:
            return change
        for room in rooms:
            if room in mine:
                del mine[room]
                self._leave(sid, room, change)
        return change

    def remove_all(self, sid: Sid) -> Change:
        """Take a socket out of every room, and out of the namespace."""
        change = Change([], [])
        for room in self._rooms_of.pop(sid, {}):
            self._leave(sid, room, change)
        return change

    def rooms_of(self, sid: Sid) -> Collection[str]:
        """The rooms of a socket. A live view: not to be kept across an `await`."""
        return self._rooms_of.get(sid, _NO_ROOMS).keys()

    def rooms(self) -> Collection[str]:
        """The rooms that have a member here. A live view: not to be kept across an `await`."""
        return self._members.keys()

    def __contains__(self, room: str) -> bool:
        return room in self._members

    def __len__(self) -> int:
        """How many sockets there are."""
        return len(self._rooms_of)

    def select(self, rooms: Collection[str], except_: Collection[str] = ()) -> Collection[Sid]:
        """The members of any of `rooms` (none named: every socket) and of none of `except_`, each once.

        One room, or none, without `except_` gives the live set itself, not a copy: whoever keeps it across an
        `await`, or does anything that lets sockets join or leave while iterating, takes a copy first.
        """
        reached = self._reached(rooms)
        if not except_:
            return reached.keys()
        out: dict[Sid, None] = {}
        for room in except_:
            out.update(self._members.get(room, _NOBODY))
        return [sid for sid in reached if sid not in out] if out else reached.keys()

    def _reached(self, rooms: Collection[str]) -> dict[Sid, dict[str, None]] | dict[Sid, None]:
        if not rooms:
            return self._rooms_of
        if len(rooms) == 1:
            return self._members.get(next(iter(rooms)), _NOBODY)
        reached: dict[Sid, None] = {}
        for room in rooms:
            reached.update(self._members.get(room, _NOBODY))
        return reached

    def _leave(self, sid: Sid, room: str, change: Change) -> None:
        change.rooms.append(room)
        members = self._members[room]
        del members[sid]
        if not members:
            del self._members[room]
            change.edges.append(room)
