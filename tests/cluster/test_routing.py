import pytest

from zmqio.adapter.base import Target
from zmqio.cluster.routing import TopicRouter
from zmqio.exceptions import TopicError
from zmqio.ids import NodeId, NodeTag

ROUTER = TopicRouter("zmqio", "/", NodeTag("mine"))
OWN = "mine0123456789abcdef"
FOREIGN = "them0123456789abcdef"


def to(*rooms: str, except_: tuple[str, ...] = ()) -> Target:
    return Target(frozenset(rooms) or None, frozenset(except_))


@pytest.mark.parametrize(
    ("target", "topic"),
    [
        (to(), b"zmqio/n//\0"),
        (to("room"), b"zmqio/r//\0room\0"),
        (to("a", "b"), b"zmqio/n//\0"),
        (to(except_=("a",)), b"zmqio/n//\0"),
        (to("room", except_=("a", "b")), b"zmqio/r//\0room\0"),
        (to(FOREIGN), b"zmqio/s/them0123456789abcdef\0/\0"),
        (to(OWN), b"zmqio/s/mine0123456789abcdef\0/\0"),
    ],
)
def test_each_target_has_one_topic(target: Target, topic: bytes) -> None:
    assert ROUTER.topic_of(target) == topic


@pytest.mark.parametrize("target", [to("\0"), to("a", "\0"), to(except_=("\0",)), to("r", except_=("\ud800",))])
def test_invalid_room_names_are_rejected_anywhere_in_a_target(target: Target) -> None:
    with pytest.raises(TopicError):
        ROUTER.topic_of(target)


def test_own_sessions_need_no_subscription() -> None:
    assert ROUTER.topics_by_room([OWN, FOREIGN, "room"]) == {
        FOREIGN: b"zmqio/s/them0123456789abcdef\0/\0",
        "room": b"zmqio/r//\0room\0",
    }


def test_own_session_is_a_single_room_with_the_own_tag() -> None:
    targets = (to(OWN), to(FOREIGN), to(OWN, "room"), to("mine"), to())
    assert [ROUTER.is_own_session(target) for target in targets] == [True, False, False, False, False]


def test_owner_is_found_by_the_tag_of_a_session_id() -> None:
    nodes = [NodeId("othrXXXXXXXXXXX"), NodeId("themYYYYYYYYYYY")]
    assert ROUTER.owner_among(nodes, to(FOREIGN)) == "themYYYYYYYYYYY"
    assert ROUTER.owner_among(nodes, to("them")) is None
    assert ROUTER.owner_among(nodes, to(FOREIGN, "room")) is None
    assert ROUTER.owner_among([], to(FOREIGN)) is None


def test_room_with_a_long_name_needs_no_subscription() -> None:
    long = "x" * 300
    assert ROUTER.topics_by_room([long, "room"]) == {"room": b"zmqio/r//\0room\0"}
    assert ROUTER.topic_of(to(long)) == ROUTER.namespace_topic


def test_namespace_with_a_topic_that_brokers_refuse_is_an_error() -> None:
    with pytest.raises(TopicError, match="choose a shorter name"):
        TopicRouter("zmqio", "/" + "x" * 3_000, NodeTag("mine"))
