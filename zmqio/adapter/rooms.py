"""Index of the rooms of this process: the members of each room, and the rooms of each socket.

Pure: knows sids and room names; must not know sockets, topics or the clock. It reports which rooms got their first
member and which lost their last one, so that a cluster can subscribe and unsubscribe.
"""

from collections.abc import Collection, Iterable
from typing import NamedTuple

from zmqio.ids import Sid

__all__ = ["Change", "RoomIndex"]

_NO_SIDS: dict[Sid, None] = {}
_NO_ROOMS: dict[str, None] = {}


class Change(NamedTuple):
    """The effect of an operation.

    Attributes:
        rooms: rooms that the socket joined (left), in the order of the call.
        edges: those of them that got their first member (lost their last member).
    """

    rooms: list[str]
    edges: list[str]


class RoomIndex:
    """Rooms and their members, both in the order in which they were added.

    Every operation costs O(rooms named) or O(members reached). Memory is used for memberships only; a room without
    members uses none.
    """

    __slots__ = ("_members", "_rooms_of")

    def __init__(self) -> None:
        self._members: dict[str, dict[Sid, None]] = {}
        self._rooms_of: dict[Sid, dict[str, None]] = {}

    def add(self, sid: Sid, rooms: Iterable[str]) -> Change:
        """Add a socket to rooms; those it is already in are ignored."""
        change = Change([], [])
        own_rooms = self._rooms_of.setdefault(sid, {})
        for room in rooms:
            if room in own_rooms:
                continue
            own_rooms[room] = None
            change.rooms.append(room)
            members = self._members.get(room)
            if members is None:
                self._members[room] = {sid: None}
                change.edges.append(room)
            else:
                members[sid] = None
        return change

    def remove(self, sid: Sid, rooms: Iterable[str]) -> Change:
        """Remove a socket from rooms; those it is not in are ignored.

        A socket that is no longer in any room still belongs to the namespace, until `remove_all`.
        """
        change = Change([], [])
        own_rooms = self._rooms_of.get(sid)
        if own_rooms is None:
            return change
        for room in rooms:
            if room in own_rooms:
                del own_rooms[room]
                self._leave(sid, room, change)
        return change

    def remove_all(self, sid: Sid) -> Change:
        """Remove a socket from every room and from the namespace."""
        change = Change([], [])
        for room in self._rooms_of.pop(sid, {}):
            self._leave(sid, room, change)
        return change

    def rooms_of(self, sid: Sid) -> Collection[str]:
        """Return the rooms of a socket. A live view: do not keep it across an `await`."""
        return self._rooms_of.get(sid, _NO_ROOMS).keys()

    def has_socket(self, sid: Sid) -> bool:
        """Whether a socket has been in a room since it was added, and has not been removed from all."""
        return sid in self._rooms_of

    def rooms(self) -> Collection[str]:
        """Return the rooms that have a member. A live view: do not keep it across an `await`."""
        return self._members.keys()

    def __contains__(self, room: str) -> bool:
        return room in self._members

    def __len__(self) -> int:
        """Return the number of sockets."""
        return len(self._rooms_of)

    def select(self, rooms: Collection[str] | None, except_: Collection[str] = ()) -> Collection[Sid]:
        """Return the members of any of `rooms` and of none of `except_`, each once; None means all sockets.

        With at most one room and no `except_`, the result is the live set itself. Copy it before an `await`, and
        before an iteration during which sockets may join or leave.
        """
        reached = self._reached(rooms)
        if not except_:
            return reached.keys()
        excluded: dict[Sid, None] = {}
        for room in except_:
            excluded.update(self._members.get(room, _NO_SIDS))
        return [sid for sid in reached if sid not in excluded] if excluded else reached.keys()

    def _reached(self, rooms: Collection[str] | None) -> dict[Sid, dict[str, None]] | dict[Sid, None]:
        if rooms is None:
            return self._rooms_of
        if len(rooms) == 1:
            return self._members.get(next(iter(rooms)), _NO_SIDS)
        reached: dict[Sid, None] = {}
        for room in rooms:
            reached.update(self._members.get(room, _NO_SIDS))
        return reached

    def _leave(self, sid: Sid, room: str, change: Change) -> None:
        change.rooms.append(room)
        members = self._members[room]
        del members[sid]
        if not members:
            del self._members[room]
            change.edges.append(room)
