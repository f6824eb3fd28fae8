"""Rooms, ids and data as python-socketio accepts them, converted to those of zmqio. Pure.

python-socketio allows any hashable value as a room. In the cluster a room is a string, as in JavaScript.
"""

from collections.abc import Collection
from typing import Any

__all__ = ["arguments", "is_text", "room_name", "room_names", "skipped_sids"]


def is_text(room: Any) -> bool:
    """Whether a room needs no conversion."""
    return isinstance(room, str)


def room_name(room: Any) -> str:
    """Return the name of a room in the cluster: of a number its digits, so that 42 and "42" are one room.

    Raises:
        TypeError: the room is neither a string nor an integer.
    """
    if isinstance(room, str):
        return room
    if isinstance(room, int) and not isinstance(room, bool):
        return str(room)
    raise TypeError(
        f"room {room!r:.80} of type {type(room).__name__!r} cannot be used over several nodes: a room is a "
        f"string, or an integer, which stands for its digits; write for example {str(room)!r:.80}"
    )


def room_names(rooms: Any) -> frozenset[str] | None:
    """Return the names of the rooms that an emit addresses: a room, a list of rooms, or None for every client.

    Raises:
        TypeError: a room is neither a string nor an integer.
    """
    if rooms is None:
        return None
    if isinstance(rooms, Collection) and not isinstance(rooms, str | bytes | bytearray):
        return frozenset(map(room_name, rooms))
    return frozenset((room_name(rooms),))


def skipped_sids(skip_sid: Any) -> frozenset[str]:
    """Return the ids in `skip_sid`: one id, a list of ids, or None.

    Raises:
        TypeError: an id is not a string.
    """
    if skip_sid is None:
        return frozenset()
    if isinstance(skip_sid, str):
        return frozenset((skip_sid,))
    if isinstance(skip_sid, list | tuple | set | frozenset):
        return frozenset(room_name(sid) for sid in skip_sid if sid is not None)
    raise TypeError(f"skip_sid={skip_sid!r:.80} must be a session id or a list of session ids")


def arguments(data: Any) -> list[Any]:
    """Return the arguments of an event: a tuple means several, None means none, everything else is one."""
    if isinstance(data, tuple):
        return list(data)
    return [] if data is None else [data]
