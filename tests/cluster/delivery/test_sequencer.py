import pytest

from zmqio.cluster.delivery.sequencer import Sequencer
from zmqio.ids import NodeId

NODE = NodeId("node")


def test_one_counter_for_all_topics_and_a_previous_for_each() -> None:
    sequencer = Sequencer(NODE)
    made = [sequencer.next_id(topic) for topic in (b"a", b"b", b"a", b"a", b"b")]
    assert [(message_id.n, message_id.previous) for message_id in made] == [(1, 0), (2, 0), (3, 1), (4, 3), (5, 2)]


def test_unstamped_message_shows_the_counter_and_is_not_counted() -> None:
    sequencer = Sequencer(NODE)
    sequencer.next_id(b"a")
    assert sequencer.unsequenced_id() == (NODE, 1, None)
    assert sequencer.next_id(b"a") == (NODE, 2, 1)


def test_stamp_that_was_taken_back_is_missed_by_nobody() -> None:
    sequencer = Sequencer(NODE)
    sequencer.next_id(b"a")
    sequencer.rollback(b"a", sequencer.next_id(b"a"))
    assert sequencer.next_id(b"a") == (NODE, 2, 1)


def test_only_the_newest_stamp_can_be_taken_back() -> None:
    sequencer = Sequencer(NODE)
    first = sequencer.next_id(b"a")
    sequencer.next_id(b"b")
    with pytest.raises(ValueError, match="cannot be rolled back: the newest is 2"):
        sequencer.rollback(b"a", first)


def test_forgotten_topic_tells_older_than_kept_from_nothing() -> None:
    sequencer = Sequencer(NODE, topics_kept=2)
    for topic in (b"a", b"b", b"a", b"c"):  # "b", last used as 2, is forgotten
        sequencer.next_id(topic)
    assert sequencer.next_id(b"a") == (NODE, 5, 3)
    assert sequencer.next_id(b"b") == (NODE, 6, 2)
