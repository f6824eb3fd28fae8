"""The names of rooms as callers give them: single names, and lists of names, as in JavaScript. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from zmqio.protocol.topic import check_name

__all__ = ["Rooms", "room_names"]

Rooms: TypeAlias = str | Iterable[str]
"""One name, or several as a list, tuple or set."""


def room_names(call: str, rooms: tuple[Rooms, ...]) -> tuple[str, ...]:
    """Check the names of rooms and return them in the order of the call.

    Args:
        call: the name of the called function, for the error.
        rooms: its arguments: names, and lists of names.

    Raises:
        TypeError: an argument is neither a name nor a list of names.
        TopicError: a name contains a NUL character or cannot be encoded as UTF-8.
    """
    for room in rooms:
        if not isinstance(room, str):
            return room_names(call, _flatten(call, rooms))
        check_name(room)
    return rooms  # type: ignore[return-value]  # all of them are strings


def _flatten(call: str, rooms: tuple[Rooms, ...]) -> tuple[str, ...]:
    names: list[str] = []
    for room in rooms:
        if isinstance(room, str):
            names.append(room)
            continue
        if not isinstance(room, Iterable) or isinstance(room, bytes | bytearray | memoryview | Mapping):
            raise TypeError(_explain(call, room))
        for name in room:
            if not isinstance(name, str):
                raise TypeError(_explain(call, name))
            names.append(name)
    return tuple(names)


def _explain(call: str, value: Any) -> str:
    return (
        f"{call}() got {value!r:.80} of type {type(value).__name__!r} as a room; a room is a string, or a list of "
        f"strings{_suggest(value)}"
    )


def _suggest(value: Any) -> str:
    if value is None:
        return "; to reach every socket, leave the step out"
    if isinstance(value, int | float):
        return f"; did you mean {str(value)!r}?"
    if isinstance(value, bytes):
        return f"; did you mean {value.decode(errors='replace')!r:.80}?"
    return "; did you mean its `id`?" if isinstance(getattr(value, "id", None), str) else ""
