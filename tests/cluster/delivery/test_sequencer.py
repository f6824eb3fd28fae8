import pytest

from zmqio.cluster.delivery.sequencer import Sequencer
from zmqio.ids import NodeId

NODE = NodeId("node")


def test_one_counter_for_all_topics_and_the_previous_number_of_each() -> None:
    sequencer = Sequencer(NODE)
    made = [sequencer.next_id(topic) for topic in (b"a", b"b", b"a", b"a", b"b")]
    assert [(message_id.n, message_id.previous) for message_id in made] == [(1, 0), (2, 0), (3, 1), (4, 3), (5, 2)]


def test_unsequenced_message_carries_the_counter_without_advancing_it() -> None:
    sequencer = Sequencer(NODE)
    sequencer.next_id(b"a")
    assert sequencer.unsequenced_id() == (NODE, 1, None)
    assert sequencer.next_id(b"a") == (NODE, 2, 1)


def test_number_that_was_rolled_back_leaves_no_gap() -> None:
    sequencer = Sequencer(NODE)
    sequencer.next_id(b"a")
    sequencer.rollback(b"a", sequencer.next_id(b"a"))
    assert sequencer.next_id(b"a") == (NODE, 2, 1)


def test_only_the_newest_number_can_be_rolled_back() -> None:
    sequencer = Sequencer(NODE)
    first = sequencer.next_id(b"a")
    sequencer.next_id(b"b")
    with pytest.raises(ValueError, match="cannot be rolled back: the newest is 2"):
        sequencer.rollback(b"a", first)


def test_forgotten_topic_names_the_highest_forgotten_number_as_previous() -> None:
    sequencer = Sequencer(NODE, topics_kept=2)
    for topic in (b"a", b"b", b"a", b"c"):  # "b", last used as 2, is forgotten
        sequencer.next_id(topic)
    assert sequencer.next_id(b"a") == (NODE, 5, 3)
    assert sequencer.next_id(b"b") == (NODE, 6, 2)
