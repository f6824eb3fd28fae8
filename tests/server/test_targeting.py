"""`Targeting` alone: steps add up, and never change what they start from."""

import pytest

from zmqio.adapter.base import Target
from zmqio.exceptions import TopicError
from zmqio.server.targeting import Targeting, room_names


class Aim(Targeting):
    """Shows its target."""

    @property
    def target(self) -> Target:
        return self._target

    def _with(self, target: Target) -> "Aim":
        return Aim(target)


def test_steps_add_up_and_make_new_values() -> None:
    start = Aim(Target())
    aim = start.to("a").in_("b", "c").except_("d").local.volatile.compress(False)
    assert aim.target == Target(frozenset("abc"), frozenset("d"), local=True, volatile=True)
    assert start.target == Target()


def test_names_that_cannot_be_rooms_are_refused() -> None:
    with pytest.raises(TopicError):
        room_names(["a\0"])
    with pytest.raises(TypeError, match="named by text"):
        room_names([["a"]])  # type: ignore[list-item]
