"""Builds the target of an operation step by step: `.to("a").except_("b").volatile`.

Every step returns a new operation, so an intermediate one can be kept and used again. Names of rooms and events
are checked here, before anything is sent.
"""

from abc import ABC, abstractmethod
from dataclasses import replace
from typing import Self

from zmqio.adapter.base import Target
from zmqio.exceptions import PacketError
from zmqio.protocol.packet import RESERVED_EVENTS
from zmqio.protocol.room_names import Rooms, room_names

__all__ = ["Targeting", "check_event"]


class Targeting(ABC):
    """The steps that every operation offers. A subclass sets `_target` when it is created."""

    __slots__ = ("_target",)

    _target: Target

    @abstractmethod
    def _with(self, target: Target) -> Self:
        """Return the same operation with another target."""

    def to(self, *rooms: Rooms) -> Self:
        """Add the members of `rooms` to the target. A socket in several of these rooms is reached once.

        If all `to` steps together name no room (`to(*[])`, `to([])`), the operation reaches no socket.

        Args:
            rooms: names, or lists of names.

        Raises:
            TypeError: a room is neither a string nor a list of strings.
            TopicError: a room name contains a NUL character or cannot be encoded as UTF-8.
        """
        target = self._target  # spelt out: `dataclasses.replace` would be 14 % of the cost of an emit
        names = frozenset(room_names("to", rooms))
        if target.rooms is not None:
            names |= target.rooms
        return self._with(Target(names, target.except_, target.local, target.volatile))

    in_ = to

    def except_(self, *rooms: Rooms) -> Self:
        """Exclude the members of `rooms`. A socket id is a room that contains only that socket. Raises as `to`."""
        return self._with(replace(self._target, except_=self._target.except_.union(room_names("except_", rooms))))

    @property
    def local(self) -> Self:
        """The same operation, limited to sockets of this process."""
        return self._with(replace(self._target, local=True))

    @property
    def volatile(self) -> Self:
        """The same operation; a client that cannot receive the event immediately does not receive it at all."""
        return self._with(replace(self._target, volatile=True))

    def compress(self, _on: bool = True, /) -> Self:
        """Accepted for compatibility, without effect.

        WebSocket compression is off; polling bodies are compressed by their size.
        """
        return self


def check_event(event: str) -> None:
    """Check that clients accept an event of this name.

    Raises:
        PacketError: the name is reserved by Socket.IO, or not a string.
    """
    if not isinstance(event, str):
        raise PacketError(f"event name {event!r} is not a string; did you mean {str(event)!r}?")
    if event in RESERVED_EVENTS:
        raise PacketError(f"event name {event!r} is reserved by Socket.IO; choose another name")
