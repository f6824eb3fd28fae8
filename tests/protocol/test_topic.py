import contextlib
import tracemalloc

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from zmqio_broker import ingest, sockets

from tests.protocol import strategies, vectors
from zmqio.exceptions import TopicError
from zmqio.ids import NodeId, NodeTag
from zmqio.protocol import topic as topics
from zmqio.protocol.topic import Topic, TopicKind

SID = "abcdABCDEFGHIJKLMNOP"


def build(kind, *, namespace="", room="", node_id=""):
    if kind in "rs":
        return topics.room_topic("zmqio", namespace, room)
    if kind == "n":
        return topics.namespace_topic("zmqio", namespace)
    return topics.inbox_topic("zmqio", NodeId(node_id)) if kind == "u" else topics.all_topic("zmqio")


@pytest.mark.parametrize("vector", vectors.load("topics"), ids=lambda vector: repr(vector["topic"]))
def test_golden_topics_in_both_directions(vector):
    parts = {name: value for name, value in vector.items() if name != "topic"}
    assert build(**parts) == vector["topic"]
    kind = TopicKind(parts.pop("kind"))
    assert topics.parse(vector["topic"]) == Topic("zmqio", kind, **parts)


def test_owner_prefix_matches_all_topics_of_its_session_ids():
    prefix = topics.owner_prefix("zmqio", NodeTag("abcd"))
    assert prefix == b"zmqio/s/abcd"
    assert topics.room_topic("zmqio", "/", SID).startswith(prefix)


def test_room_topic_does_not_match_a_longer_room_name():
    assert not topics.room_topic("z", "/", "room-10").startswith(topics.room_topic("z", "/", "room-1"))


@pytest.mark.parametrize("name", ["a\0b", "\0", "\ud800"])
def test_name_with_nul_or_lone_surrogate_is_refused(name):
    for make in (
        lambda: topics.room_topic("zmqio", "/", name),
        lambda: topics.room_topic("zmqio", name, "room"),
        lambda: topics.room_topic("zmqio", name, SID),
        lambda: topics.namespace_topic("zmqio", name),
        lambda: topics.inbox_topic("zmqio", NodeId(name)),
        lambda: topics.check_name(name),
    ):
        with pytest.raises(TopicError):
            make()


@pytest.mark.parametrize("prefix", ["a/b", "a\0"])
def test_prefix_with_slash_or_nul_is_refused(prefix):
    with pytest.raises(TopicError):
        topics.namespace_topic(prefix, "/")


@pytest.mark.parametrize("body", [b"", b"\x9a\0\0", b"{}", b"\0zmqio/n//\0"])
@pytest.mark.parametrize("topic", [vector["topic"] for vector in vectors.load("topics")])
def test_frame_is_split_after_the_last_nul_of_its_topic(topic, body):
    assert topics.split(topic + body) == (topic, body)


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\x00zmqio/n//\0",
        b"\x01",
        b"zmqio",
        b"zmqio/",
        b"zmqio/n",
        b"zmqio/n/",
        b"zmqio/n//",
        b"zmqio/x//\0",
        b"/n//\0",
        b"zmqio/r//\0room",
        b"zmqio/n\0/\0",
    ],
)
def test_frame_without_a_topic_is_refused(frame):
    with pytest.raises(TopicError):
        topics.parse(topics.split(frame)[0])


@pytest.mark.parametrize(
    "topic",
    [
        b"zmqio/r//\0" + SID.encode() + b"\0",  # the shape of a session id belongs on s
        b"zmqio/s/short\0/\0",
        b"zmqio/n//chat\0more",
        b"zmqio/n//chat\0\0",
        b"zmqio/n//chat",
        b"zmqio/r//\0a\0b\0",
        b"zmqio/a/x\0",
        b"zmqio/n//\xff\0",
    ],
)
def test_topic_in_another_form_is_refused(topic):
    with pytest.raises(TopicError):
        topics.parse(topic)


NAMESPACE, ROOM, SOCKET = (
    topics.namespace_topic("p", "/c"),
    topics.room_topic("p", "/c", "r"),
    topics.room_topic("p", "/c", SID),
)


@pytest.mark.parametrize(
    ("topic", "namespace", "rooms", "covered"),
    [
        (NAMESPACE, "/c", (), True),
        (NAMESPACE, "/c", ("r", "q"), True),
        (NAMESPACE, "/other", (), False),
        (ROOM, "/c", ("r",), True),
        (ROOM, "/c", ("q",), False),
        (ROOM, "/c", ("r", "q"), False),
        (ROOM, "/c", (), False),
        (ROOM, "/other", ("r",), False),
        (SOCKET, "/c", (SID,), True),
        (SOCKET, "/other", (SID,), False),
        (topics.all_topic("p"), "/c", ("r",), True),
        (topics.inbox_topic("p", NodeId("n")), "/c", (), False),
        (b"malformed", "/c", (), False),
        (b"\xff/n//c\0", "/c", (), False),
    ],
)
def test_topic_covers_a_target_if_all_its_nodes_subscribe(topic, namespace, rooms, covered):
    assert topics.covers(topic, namespace, rooms) is covered


@given(st.text(alphabet="abcz-_.", min_size=1), strategies.names, strategies.rooms)
def test_topics_round_trip(prefix, namespace, room):
    room_topic = topics.room_topic(prefix, namespace, room)
    parsed = topics.parse(room_topic)
    assert (parsed.prefix, parsed.namespace, parsed.room) == (prefix, namespace, room)
    assert topics.parse(topics.namespace_topic(prefix, namespace)).namespace == namespace
    assert topics.covers(room_topic, namespace, (room,))


@given(strategies.names, strategies.rooms, strategies.names, strategies.rooms)
def test_no_topic_is_a_prefix_of_another(namespace, room, other_namespace, other_room):
    assume((namespace, room) != (other_namespace, other_room))
    assert not topics.room_topic("p", namespace, room).startswith(
        topics.room_topic("p", other_namespace, other_room)
    )


@given(st.binary() | st.binary().map(lambda tail: b"zmqio/r/" + tail))
def test_arbitrary_input_raises_only_topic_errors(frame):
    with contextlib.suppress(TopicError):
        topic, body = topics.split(frame)
        assert topic + body == frame
        topics.parse(topic)


def test_long_room_name_has_the_topic_of_its_namespace():
    longest = "é" * ((topics.MAX_ROOM_TOPIC_BYTES - len(b"p/r//c\0\0")) // 2)
    assert topics.room_topic("p", "/c", longest).startswith(b"p/r//c\0")
    for room in (longest + "xx", "x" * 900_000):
        assert topics.room_topic("p", "/c", room) == topics.namespace_topic("p", "/c")
        assert topics.covers(topics.namespace_topic("p", "/c"), "/c", (room,))
    with pytest.raises(TopicError):
        topics.room_topic("p", "/c", "x" * 300 + "\0")


def test_long_names_are_not_remembered():
    tracemalloc.start()
    try:
        for number in range(200):
            topics.room_topic("p", "/c", f"{number}" + "x" * 100_000)
        assert tracemalloc.get_traced_memory()[0] < 5_000_000
    finally:
        tracemalloc.stop()


def test_broker_and_nodes_agree_on_the_longest_topic_of_a_room():
    assert topics.MAX_ROOM_TOPIC_BYTES == ingest.MAX_ROOM_TOPIC_BYTES
    assert topics.MAX_NAMESPACE_TOPIC_BYTES < sockets.SUBSCRIPTION_MAX_BYTES
