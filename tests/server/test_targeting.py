"""`Targeting`: steps accumulate and never change their starting point; names are checked."""

import pytest

from zmqio.adapter.base import Target
from zmqio.exceptions import PacketError, TopicError
from zmqio.server.targeting import Targeting, check_event


class ShownTarget(Targeting):
    """An operation that exposes its target."""

    def __init__(self, target: Target) -> None:
        self._target = target

    @property
    def target(self) -> Target:
        return self._target

    def _with(self, target: Target) -> "ShownTarget":
        return ShownTarget(target)


def test_steps_accumulate_and_return_new_values() -> None:
    start = ShownTarget(Target())
    operation = start.to("a").in_("b", "c").except_("d").local.volatile.compress(False)
    assert operation.target == Target(frozenset("abc"), frozenset("d"), local=True, volatile=True)
    assert start.target == Target()


def test_empty_selection_is_not_everyone() -> None:
    start = ShownTarget(Target())
    nobody = Target(frozenset())
    assert [step.target for step in (start.to(*[]), start.in_([]), start.to([], ()))] == [nobody] * 3
    assert start.to([]).to("a").target == start.to("a").to([]).target == Target(frozenset("a"))
    assert start.except_(*[]).target == Target()
    assert start.target.stays_here is False
    assert nobody.stays_here is True


def test_lists_of_rooms_are_taken() -> None:
    operation = ShownTarget(Target()).to(["a", "b"], "c").except_({"d"})
    assert operation.target == Target(frozenset("abc"), frozenset("d"))


def test_invalid_room_names_are_refused() -> None:
    with pytest.raises(TopicError):
        ShownTarget(Target()).to("a\0")
    with pytest.raises(TypeError, match=r"except_\(\) got 5"):
        ShownTarget(Target()).except_(5)  # type: ignore[arg-type]


@pytest.mark.parametrize("event", ["connect", "disconnect", "connect_error", 7])
def test_event_names_that_clients_reject_are_refused(event: object) -> None:
    with pytest.raises(PacketError):
        check_event(event)  # type: ignore[arg-type]
