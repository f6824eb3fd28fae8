import pytest

from zmqio.cluster.delivery.sequencer import Sequencer
from zmqio.ids import NodeId

NODE = NodeId("node")


def test_one_counter_for_all_topics_and_a_previous_for_each() -> None:
    stamps = Sequencer(NODE)
    made = [stamps.stamp(topic) for topic in (b"a", b"b", b"a", b"a", b"b")]
    assert [(stamp.n, stamp.previous) for stamp in made] == [(1, 0), (2, 0), (3, 1), (4, 3), (5, 2)]


def test_unstamped_message_shows_the_counter_and_is_not_counted() -> None:
    stamps = Sequencer(NODE)
    stamps.stamp(b"a")
    assert stamps.unstamped() == (NODE, 1, None)
    assert stamps.stamp(b"a") == (NODE, 2, 1)


def test_stamp_that_was_taken_back_is_missed_by_nobody() -> None:
    stamps = Sequencer(NODE)
    stamps.stamp(b"a")
    stamps.take_back(b"a", stamps.stamp(b"a"))
    assert stamps.stamp(b"a") == (NODE, 2, 1)


def test_only_the_newest_stamp_can_be_taken_back() -> None:
    stamps = Sequencer(NODE)
    first = stamps.stamp(b"a")
    stamps.stamp(b"b")
    with pytest.raises(ValueError, match="not the newest"):
        stamps.take_back(b"a", first)


def test_forgotten_topic_tells_older_than_kept_from_nothing() -> None:
    stamps = Sequencer(NODE, topics_kept=2)
    for topic in (b"a", b"b", b"a", b"c"):  # "b", last used as 2, is forgotten
        stamps.stamp(topic)
    assert stamps.stamp(b"a") == (NODE, 5, 3)
    assert stamps.stamp(b"b") == (NODE, 6, 2)
