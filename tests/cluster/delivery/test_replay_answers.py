"""The messages of an answer that are delivered, and those that are reported as lost."""

from zmqio.adapter.base import BusGap
from zmqio.cluster.delivery.publisher import ReplayRequestState
from zmqio.cluster.delivery.replay_answers import ReplayAnswerReader, ReplayResult
from zmqio.cluster.delivery.subscriptions import TopicSubscriptions
from zmqio.ids import NodeId
from zmqio.protocol.messages import LostRow, ReplayAnswer, ReplayedRow

PEER = NodeId("tag2BBBBBBBBBBB")
MINE, FOREIGN, SESSION = b"zmqio/r//\0mine\0", b"zmqio/r//\0other\0", b"zmqio/s/tag1xxxxxxxxxxxxxxxx\0/\0"
STARTED, SUBSCRIBED, NOW = 0.0, 100.0, 110.0


def subscriptions() -> TopicSubscriptions:
    """Those of a node that has subscribed to one room 10 seconds ago."""
    made = TopicSubscriptions(b"zmqio/s/tag1", STARTED)
    made.add((MINE,), SUBSCRIBED)
    return made


def read(
    *messages: tuple[bytes, int, float],
    lost: tuple[LostRow, ...] = (),
    forgotten: int = 0,
    after: int = 10,
    received: int = 10,
    first_contact: bool = False,
    topics: TopicSubscriptions | None = None,
) -> ReplayResult:
    """Read an answer with messages (topic, n, age in seconds)."""
    rows = tuple(ReplayedRow(topic, b"body", age_s) for topic, _, age_s in messages)
    answer = ReplayAnswer(1, 20, True, forgotten, lost, rows)
    request = ReplayRequestState(1, after, first_contact, 0.0)
    numbers = [n for _, n, _ in messages]
    return ReplayAnswerReader(topics or subscriptions()).read(PEER, request, received, answer, numbers, NOW)


def test_only_messages_for_this_node_are_delivered() -> None:
    assert read((MINE, 11, 1.0), (FOREIGN, 12, 1.0), (SESSION, 13, 1.0)).rows == (0, 2)


def test_messages_that_were_received_before_are_not_delivered_again() -> None:
    topics = subscriptions()
    state = topics.state_of(MINE)
    assert state is not None
    state.last[PEER] = 12
    assert read((MINE, 12, 1.0), (MINE, 13, 1.0), topics=topics).rows == (1,)
    assert state.last[PEER] == 13
    assert read((MINE, 10, 1.0), after=10).rows == ()


def test_messages_from_before_the_subscription_are_not_delivered() -> None:
    assert read((MINE, 11, NOW - SUBSCRIBED + 0.1), (MINE, 12, NOW - SUBSCRIBED)).rows == (1,)


def test_messages_of_others_in_the_answer_are_not_delivered() -> None:
    assert read((MINE, 0, 1.0)).rows == ()


def test_lost_messages_are_counted_only_on_topics_of_this_node() -> None:
    result = read(lost=(LostRow(MINE, (11, 13), 1.0), LostRow(FOREIGN, (12,), 1.0)))
    gap = BusGap(PEER, 11, 20, 2, "the node no longer keeps them")
    assert result == ReplayResult((), gap, frozenset((MINE,)), 2)


def test_losses_from_before_the_subscription_are_none() -> None:
    assert read(lost=(LostRow(MINE, (11,), 60.0),)) == ReplayResult()


def test_forgotten_messages_are_a_gap_of_unknown_size_and_topics() -> None:
    result = read(lost=(LostRow(MINE, (11,), 1.0),), forgotten=3)
    assert result.gap is not None
    assert (result.gap.messages, result.lost_topics, result.lost) == (None, None, 1)


def test_a_node_that_has_just_met_the_publisher_has_lost_nothing() -> None:
    result = read((MINE, 1, 1.0), lost=(LostRow(MINE, (2,), 1.0),), forgotten=3, after=0, first_contact=True)
    assert result == ReplayResult((0,))


def test_losses_are_counted_before_the_messages_of_the_answer_are_noted() -> None:
    assert read((MINE, 15, 1.0), lost=(LostRow(MINE, (11,), 1.0),)).lost == 1
