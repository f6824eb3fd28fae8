"""The topics of a node: when it subscribed to each, and the last numbers received."""

from zmqio.cluster.delivery.bloom_filter import TopicBloomFilter
from zmqio.cluster.delivery.subscriptions import TopicSubscriptions
from zmqio.ids import NodeId

P, Q = NodeId("P"), NodeId("Q")
MINE = b"zmqio/s/mine"


def make(sessions_kept: int = 3) -> TopicSubscriptions:
    return TopicSubscriptions(MINE, 5.0, sessions_kept=sessions_kept)


def topics_in(subscriptions: TopicSubscriptions, *topics: bytes) -> list[bytes]:
    known = TopicBloomFilter(subscriptions.bloom_filter())
    return [topic for topic in topics if topic in known]


def test_topic_has_a_state_from_add_to_remove() -> None:
    subscriptions = make()
    assert subscriptions.state_of(b"t") is None
    subscriptions.add([b"t"], 7.0)
    state = subscriptions.state_of(b"t")
    assert state is not None
    assert (state.since, state.last) == (7.0, {})
    subscriptions.remove([b"t", b"never added"])
    assert subscriptions.state_of(b"t") is None


def test_topic_added_twice_keeps_its_state() -> None:
    subscriptions = make()
    subscriptions.add([b"t"], 7.0)
    state = subscriptions.state_of(b"t")
    subscriptions.add([b"t"], 9.0)
    assert subscriptions.state_of(b"t") is state


def test_topic_added_again_after_removal_starts_with_an_empty_state() -> None:
    subscriptions = make()
    subscriptions.add([b"t"], 7.0)
    subscriptions.state_of(b"t").last[P] = 3  # type: ignore[union-attr]
    subscriptions.remove([b"t"])
    subscriptions.add([b"t"], 9.0)
    state = subscriptions.state_of(b"t")
    assert state is not None
    assert (state.since, state.last) == (9.0, {})


def test_session_topics_count_as_subscribed_since_the_start() -> None:
    subscriptions = make()
    state = subscriptions.state_of(MINE + b"/1")
    assert state is not None
    assert state.since == 5.0
    assert subscriptions.state_of(MINE + b"/1") is state
    assert subscriptions.state_of(b"zmqio/s/other/1") is None


def test_oldest_session_topics_beyond_the_limit_are_forgotten() -> None:
    subscriptions = make(sessions_kept=2)
    for number in (1, 2):
        subscriptions.state_of(b"%b/%d" % (MINE, number)).last[P] = number  # type: ignore[union-attr]
    subscriptions.state_of(MINE + b"/3")
    assert subscriptions.state_of(MINE + b"/2").last == {P: 2}  # type: ignore[union-attr]
    assert subscriptions.state_of(MINE + b"/1").last == {}  # type: ignore[union-attr]


def test_bloom_filter_follows_added_topics() -> None:
    subscriptions = make()
    assert topics_in(subscriptions, b"a", b"b") == []
    subscriptions.add([b"a"], 6.0)
    assert topics_in(subscriptions, b"a", b"b") == [b"a"]
    subscriptions.add([b"b"], 7.0)
    assert topics_in(subscriptions, b"a", b"b") == [b"a", b"b"]


def test_bloom_filter_stays_correct_and_small_while_rooms_come_and_go() -> None:
    subscriptions = make()
    for number in range(5_000):
        subscriptions.add([b"room-%d" % number], 6.0)
        if number >= 50:
            subscriptions.remove([b"room-%d" % (number - 50)])
        assert topics_in(subscriptions, b"room-%d" % number)
    now = [b"room-%d" % number for number in range(4_950, 5_000)]
    assert topics_in(subscriptions, *now) == now
    assert len(subscriptions.bloom_filter()) <= 1_000
    assert len(topics_in(subscriptions, *(b"room-%d" % number for number in range(4_000)))) < 200


def test_publisher_is_forgotten_on_all_topics() -> None:
    subscriptions = make()
    subscriptions.add([b"t"], 6.0)
    for topic in (b"t", MINE + b"/1"):
        subscriptions.state_of(topic).last.update({P: 3, Q: 4})  # type: ignore[union-attr]
    subscriptions.forget(frozenset({P, NodeId("never seen")}))
    for topic in (b"t", MINE + b"/1"):
        assert subscriptions.state_of(topic).last == {Q: 4}  # type: ignore[union-attr]
