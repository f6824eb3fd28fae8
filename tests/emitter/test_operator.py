"""Tests of `zmqio.emitter.operator`: the steps, without a connection."""

import pytest

from zmqio.emitter.operator import BroadcastOperator
from zmqio.exceptions import PacketError, TopicError
from zmqio.protocol.publish import Operation, PublishRequest


def operator() -> BroadcastOperator[PublishRequest]:
    """An operator whose last steps return the request instead of sending it."""
    return BroadcastOperator(lambda request: request, PublishRequest())


def test_emit_without_other_steps_selects_the_default_namespace() -> None:
    assert operator().emit("news", 1, {"a": 2}) == PublishRequest(event="news", args=(1, {"a": 2}))


def test_each_step_adds_to_the_request() -> None:
    made = operator().of("/chat").to("a", "b").to("c").except_("d").volatile.emit("news")
    assert made == PublishRequest(
        namespace="/chat", rooms=("a", "b", "c"), except_=("d",), volatile=True, event="news"
    )


def test_repeated_room_is_sent_once() -> None:
    assert operator().to("a").to("a").emit("news").rooms == ("a",)


def test_in_is_an_alias_of_to() -> None:
    assert operator().in_("a").emit("news").rooms == ("a",)


def test_step_does_not_change_its_operator() -> None:
    lobby = operator().to("lobby")
    lobby.to("other").except_("x").volatile.emit("first")
    assert lobby.emit("second") == PublishRequest(rooms=("lobby",), event="second")


def test_socket_operations_have_their_fields() -> None:
    to_a = operator().to("a")
    assert to_a.sockets_join("b", "c") == PublishRequest(op=Operation.JOIN, rooms=("a",), names=("b", "c"))
    assert to_a.sockets_leave("b") == PublishRequest(op=Operation.LEAVE, rooms=("a",), names=("b",))
    assert to_a.disconnect_sockets() == PublishRequest(op=Operation.DISCONNECT, rooms=("a",))
    assert to_a.disconnect_sockets(close=True).close is True


def test_volatile_does_not_affect_socket_operations() -> None:
    assert operator().volatile.sockets_join("b").volatile is False


@pytest.mark.parametrize("step", ["to", "in_", "except_", "sockets_join", "sockets_leave"])
def test_room_that_contains_a_nul_is_an_error_at_once(step: str) -> None:
    with pytest.raises(TopicError):
        getattr(operator(), step)("good", "a\0b")


@pytest.mark.parametrize("step", ["to", "in_", "except_", "sockets_join", "sockets_leave"])
def test_room_that_is_not_a_str_is_an_error(step: str) -> None:
    with pytest.raises(TypeError, match="did you mean '5'"):
        getattr(operator(), step)("a", 5)


def test_lists_of_rooms_are_taken() -> None:
    made = operator().to(["a", "b"], "c").except_(("d",)).sockets_join(["e"])
    assert (made.rooms, made.except_, made.names) == (("a", "b", "c"), ("d",), ("e",))
    assert operator().sockets_leave(["e", "f"]).names == ("e", "f")


def test_empty_selection_is_not_the_whole_namespace() -> None:
    assert operator().emit("news").rooms is None
    assert operator().to(*[]).emit("news").rooms == ()
    assert operator().in_([]).disconnect_sockets().rooms == ()
    assert operator().to([]).to("a").emit("news").rooms == ("a",)


@pytest.mark.parametrize(
    ("namespace", "error"), [("/a\0", TopicError), ("chat", PacketError), ("/a,b", PacketError)]
)
def test_invalid_namespace_is_an_error(namespace: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        operator().of(namespace)
