"""Whom an operation reaches, one step at a time: `.to("a").except_("b").volatile`.

Every step makes a new value, so one can be kept and used again.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection
from dataclasses import replace
from typing import Self

from zmqio.adapter.base import Target
from zmqio.protocol.topic import check_name

__all__ = ["Targeting", "room_names"]


class Targeting(ABC):
    """The steps that every operation has.

    Args:
        target: whom it reaches so far.
    """

    __slots__ = ("_target",)

    def __init__(self, target: Target) -> None:
        self._target = target

    @abstractmethod
    def _with(self, target: Target) -> Self:
        """The same operation on another target."""

    def to(self, *rooms: str) -> Self:
        """Reach members of `rooms` too; a socket in several of them is reached once.

        Raises:
            TopicError: a name has a NUL in it, or cannot be written as UTF-8.
        """
        target = self._target  # spelt out: `dataclasses.replace` would be 14 % of the cost of an emit
        names = target.rooms | room_names(rooms)
        return self._with(Target(names, target.except_, target.local, target.volatile))

    in_ = to

    def except_(self, *rooms: str) -> Self:
        """Do not reach members of `rooms` (a sid is the room that only its socket is in)."""
        return self._with(replace(self._target, except_=self._target.except_ | room_names(rooms)))

    @property
    def local(self) -> Self:
        """Only sockets of this process."""
        return self._with(replace(self._target, local=True))

    @property
    def volatile(self) -> Self:
        """A client that cannot take it now does not get it at all."""
        return self._with(replace(self._target, volatile=True))

    def compress(self, _on: bool = True, /) -> Self:
        """Accepted and without effect: WebSocket compression is off, polling bodies are compressed by size."""
        return self


def room_names(rooms: Collection[str]) -> frozenset[str]:
    """Check the names of rooms.

    Raises:
        TypeError: a name is not text.
        TopicError: a name cannot be in a topic.
    """
    for name in rooms:
        if not isinstance(name, str):
            raise TypeError(f"a room is named by text, not by {name!r}; several rooms: to('a', 'b')")
        check_name(name)
    return frozenset(rooms)
