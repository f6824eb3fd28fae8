"""`Targeting` alone: steps add up, and never change what they start from."""

import pytest

from zmqio.adapter.base import Target
from zmqio.exceptions import PacketError, TopicError
from zmqio.server.targeting import Targeting, check_event, room_names


class Aim(Targeting):
    """Shows its target."""

    def __init__(self, target: Target) -> None:
        self._target = target

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
    with pytest.raises(TypeError, match="not a string"):
        room_names([["a"]])  # type: ignore[list-item]


@pytest.mark.parametrize("event", ["connect", "disconnect", "connect_error", 7])
def test_event_names_that_clients_would_not_take_are_refused(event: object) -> None:
    with pytest.raises(PacketError):
        check_event(event)  # type: ignore[arg-type]
