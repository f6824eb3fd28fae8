"""Whom a request reaches: the chain, without a sender."""

import pytest

from zmqio.emitter.operator import BroadcastOperator
from zmqio.exceptions import PacketError, TopicError
from zmqio.protocol.publish import Operation, PublishRequest


def operator() -> BroadcastOperator[PublishRequest]:
    """One that gives the finished request back instead of sending it."""
    return BroadcastOperator(lambda request: request, PublishRequest())


def test_emit_without_any_step_reaches_the_default_namespace() -> None:
    assert operator().emit("news", 1, {"a": 2}) == PublishRequest(event="news", args=(1, {"a": 2}))


def test_each_step_adds_to_the_request() -> None:
    made = operator().of("/chat").to("a", "b").to("c").except_("d").volatile.emit("news")
    assert made == PublishRequest(
        namespace="/chat", rooms=("a", "b", "c"), except_=("d",), volatile=True, event="news"
    )


def test_a_room_named_twice_is_one_room() -> None:
    assert operator().to("a").to("a").emit("news").rooms == ("a",)


def test_in_is_another_name_for_to() -> None:
    assert operator().in_("a").emit("news").rooms == ("a",)


def test_a_step_leaves_the_operator_that_it_was_called_on_as_it_was() -> None:
    lobby = operator().to("lobby")
    lobby.to("other").except_("x").volatile.emit("first")
    assert lobby.emit("second") == PublishRequest(rooms=("lobby",), event="second")


def test_operations_on_sockets_carry_their_fields() -> None:
    to_a = operator().to("a")
    assert to_a.sockets_join("b", "c") == PublishRequest(op=Operation.JOIN, rooms=("a",), names=("b", "c"))
    assert to_a.sockets_leave("b") == PublishRequest(op=Operation.LEAVE, rooms=("a",), names=("b",))
    assert to_a.disconnect_sockets() == PublishRequest(op=Operation.DISCONNECT, rooms=("a",))
    assert to_a.disconnect_sockets(close=True).close is True


def test_volatile_is_left_out_of_operations_that_do_not_know_it() -> None:
    assert operator().volatile.sockets_join("b").volatile is False


@pytest.mark.parametrize("step", ["to", "in_", "except_", "sockets_join", "sockets_leave"])
def test_a_room_with_a_nul_in_it_is_refused_where_it_is_named(step: str) -> None:
    with pytest.raises(TopicError):
        getattr(operator(), step)("good", "a\0b")


def test_a_room_that_is_no_text_is_refused() -> None:
    with pytest.raises(TypeError, match=r"to\('a', 'b'\)"):
        operator().to(["a", "b"])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("namespace", "error"), [("/a\0", TopicError), ("chat", PacketError), ("/a,b", PacketError)]
)
def test_a_namespace_that_cannot_be_is_refused(namespace: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        operator().of(namespace)
