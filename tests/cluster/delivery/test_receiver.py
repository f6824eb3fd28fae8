"""How a receiver detects and requests missing messages, step by step.

`test_replay_machine` tests the guarantee as a whole.
"""

from zmqio.adapter.base import BusGap
from zmqio.cluster.delivery.bloom_filter import TopicBloomFilter
from zmqio.cluster.delivery.receiver import (
    MAX_UNANSWERED_REQUESTS,
    REPLAY_RETRY_S,
    TOMBSTONE_MARGIN_S,
    Receiver,
    ReplayResult,
)
from zmqio.cluster.delivery.subscriptions import TopicSubscriptions
from zmqio.ids import NodeId
from zmqio.protocol.messages import LostRow, MessageId, ReplayAnswer, ReplayedRow, ReplayRequest

P, Q = NodeId("P"), NodeId("Q")
T, U, MY_SESSION = b"t", b"u", b"s/mine/1"
KEEP_S = 60.0


class Stage:
    """A receiver on two brokers that knows one publisher, which has sent nothing yet."""

    def __init__(self, sessions_kept: int = 100) -> None:
        self.now = 1_000.0
        self.receiver = Receiver(TopicSubscriptions(b"s/mine/", self.now, sessions_kept=sessions_kept), KEEP_S)
        self.receiver.subscriptions.add([T, U], self.now)
        for link in (0, 1):
            self.receiver.link_connected(link, self.now)
            self.heartbeat(link, 0)

    def heartbeat(self, link: int, n: int, generation: int = 1, node_id: NodeId = P) -> None:
        self.receiver.heartbeat(link, MessageId(node_id, n), generation, self.now)

    def accept(self, link: int, n: int, previous: int = 0, topic: bytes = T, node_id: NodeId = P) -> bool:
        return self.receiver.accept(link, topic, MessageId(node_id, n, previous), self.now)

    def requests(self) -> list[ReplayRequest]:
        return [request for _, request in self.receiver.take_due_requests(self.now)]

    def answer(
        self,
        link: int,
        request_id: int,
        upto: int,
        rows: dict[int, bytes] | None = None,
        *,
        complete: bool = True,
        forgotten: int = 0,
        lost: tuple[LostRow, ...] = (),
    ) -> ReplayResult:
        """The publisher answers; `rows` are number -> topic of messages that were just sent."""
        rows = rows or {}
        messages = tuple(ReplayedRow(topic, b"", 0.0) for topic in rows.values())
        answer = ReplayAnswer(request_id, upto, complete, forgotten, lost, messages)
        return self.receiver.answer(link, P, answer, tuple(rows), self.now)


# Without failures.


def test_message_is_delivered_once_by_the_first_link_that_brings_it() -> None:
    stage = Stage()
    assert [stage.accept(0, 1), stage.accept(1, 1, 0), stage.accept(1, 2, 1), stage.accept(0, 2, 1)] == [
        True,
        False,
        True,
        False,
    ]
    assert stage.receiver.counts.duplicates == 2
    assert stage.receiver.open_requests == 0


def test_numbers_used_on_other_topics_are_not_missed() -> None:
    stage = Stage()
    assert stage.accept(0, 3)
    assert stage.accept(0, 9, 0, U)
    assert stage.receiver.open_requests == 0


def test_first_message_before_any_heartbeat_is_delivered_only_by_a_connected_link() -> None:
    stage = Stage()
    stage.receiver.link_lost(1)
    assert not stage.accept(1, 6, node_id=Q)
    assert stage.accept(0, 7, node_id=Q)
    assert not stage.accept(0, 7, node_id=Q)
    assert stage.receiver.open_requests == 0


def test_new_publisher_is_asked_for_everything_it_sent_before_its_first_heartbeat() -> None:
    stage = Stage()
    stage.heartbeat(0, 40, node_id=Q)
    [request] = stage.requests()
    assert (request.after, stage.receiver.open_requests) == (0, 1)


# Links.


def test_loss_of_one_of_two_links_costs_no_request() -> None:
    stage = Stage()
    stage.receiver.link_lost(0)
    assert stage.accept(1, 1)
    stage.receiver.link_connected(0, stage.now)
    assert not stage.accept(0, 2, 1)  # there may be a gap before it; the other link will deliver it
    assert stage.accept(1, 2, 1)
    assert stage.accept(0, 3, 2)
    assert stage.receiver.counts.requests == stage.receiver.open_requests == 0


def test_loss_of_both_links_sends_a_request_and_delivers_its_answer() -> None:
    stage = Stage()
    assert stage.accept(0, 1)
    for link in (0, 1):
        stage.receiver.link_lost(link)
    assert stage.requests() == []  # no broker is connected
    stage.receiver.link_connected(0, stage.now)
    assert not stage.accept(0, 5, 4)
    [request] = stage.requests()
    assert (request.after, T in TopicBloomFilter(request.topics)) == (1, True)
    assert stage.answer(0, request.request_id, 5, {3: U, 4: T, 5: T}).rows == (0, 1, 2)
    assert stage.accept(0, 6, 5)
    assert stage.receiver.counts.replayed == 3


def test_new_generation_of_the_only_link_sends_a_request() -> None:
    stage = Stage()
    stage.receiver.link_lost(1)
    assert stage.accept(0, 1)
    stage.heartbeat(0, 4, generation=2)
    assert not stage.accept(0, 5, 4)
    [request] = stage.requests()
    assert request.after == 1


def test_incomplete_answer_is_followed_by_the_next_request() -> None:
    stage = Stage()
    stage.receiver.link_overrun(0, stage.now)
    stage.receiver.link_overrun(1, stage.now)
    [first] = stage.requests()
    assert stage.answer(0, first.request_id, 3, {2: T}, complete=False).rows == (0,)
    assert not stage.accept(0, 8, 2)
    [second] = stage.requests()
    assert (second.after, second.request_id) == (3, first.request_id + 1)
    assert stage.answer(0, second.request_id, 8, {8: T}).rows == (0,)
    assert stage.accept(0, 9, 8)


def test_answer_by_both_links_is_delivered_once_and_makes_both_gapless() -> None:
    stage = Stage()
    for link in (0, 1):
        stage.receiver.link_lost(link)
    for link in (0, 1):
        stage.receiver.link_connected(link, stage.now)
    [request] = stage.requests()
    assert stage.answer(0, request.request_id, 2, {2: T}).rows == (0,)
    assert stage.answer(1, request.request_id, 2, {2: T}) == ReplayResult()
    assert stage.accept(1, 3, 2)
    assert stage.accept(0, 4, 3)


def test_unrequested_answers_are_ignored() -> None:
    stage = Stage()
    assert stage.answer(0, 99, 5, {5: T}) == ReplayResult()
    assert stage.receiver.answer(0, Q, ReplayAnswer(1, 5, True, 0, (), ()), (), stage.now) == ReplayResult()
    assert stage.accept(0, 1)


# Suspect links and gaps.


def test_suspect_link_sends_a_request_and_only_an_answer_by_that_link_clears_it() -> None:
    stage = Stage()
    stage.receiver.link_overrun(0, stage.now)
    [request] = stage.requests()
    assert stage.accept(1, 1)
    stage.answer(1, request.request_id, 1, {1: T})
    assert not stage.accept(0, 1)
    stage.answer(0, request.request_id, 1, {1: T})
    assert stage.accept(0, 2, 1)


def test_answer_to_an_earlier_request_does_not_clear_a_suspect_link() -> None:
    """That answer may have been sent before the gap."""
    stage = Stage()
    stage.receiver.link_lost(1)
    stage.heartbeat(0, 1, generation=2)
    [early] = stage.requests()
    stage.receiver.link_overrun(0, stage.now)
    assert stage.answer(0, early.request_id, 1, {1: T}).rows == (0,)
    assert not stage.accept(0, 3, 0, U)  # 2 was dropped
    [late] = stage.requests()
    assert late.after == 1
    assert stage.answer(0, late.request_id, 3, {2: T, 3: U}).rows == (0, 1)
    assert stage.accept(0, 4, 2)


def test_link_that_became_suspect_during_a_request_is_requested_again_beside_a_gapless_link() -> None:
    stage = Stage()
    stage.receiver.link_overrun(1, stage.now)
    [early] = stage.requests()
    stage.receiver.link_overrun(1, stage.now)
    stage.answer(1, early.request_id, 0)
    [late] = stage.requests()
    stage.answer(1, late.request_id, 0)
    assert stage.receiver.open_requests == 0
    stage.receiver.link_lost(0)
    assert stage.accept(1, 1)


def test_gap_on_a_topic_is_requested_though_later_messages_of_other_topics_were_received() -> None:
    stage = Stage()
    assert stage.accept(0, 1)
    assert stage.accept(0, 3, 0, U)
    assert not stage.accept(0, 4, 2)
    [request] = stage.requests()
    assert (request.after, stage.receiver.counts.link_gaps) == (1, 1)
    assert stage.answer(0, request.request_id, 4, {2: T, 3: U, 4: T}).rows == (0, 2)


def test_gap_older_than_the_open_request_widens_the_request() -> None:
    stage = Stage()
    assert stage.accept(0, 1)
    assert stage.accept(0, 3, 0, U)
    stage.receiver.link_overrun(1, stage.now)
    [narrow] = stage.requests()
    assert not stage.accept(0, 4, 2)
    [wide] = stage.requests()
    assert (narrow.after, wide.after) == (3, 1)
    assert stage.answer(0, narrow.request_id, 4, {4: T}) == ReplayResult()
    assert stage.answer(0, wide.request_id, 4, {2: T, 3: U, 4: T}).rows == (0, 2)


def test_gap_that_an_answer_has_covered_is_not_requested_again() -> None:
    stage = Stage()
    stage.receiver.link_overrun(0, stage.now)
    [request] = stage.requests()
    stage.accept(1, 1)
    stage.answer(0, request.request_id, 5, {}, lost=(LostRow(T, (4,), 0.0),))
    assert stage.accept(0, 6, 4)
    assert stage.receiver.open_requests == 0


def test_replay_of_a_gap_does_not_repeat_messages_to_forgotten_session_topics() -> None:
    stage = Stage(sessions_kept=2)
    assert stage.accept(0, 1)
    sessions = {n: b"s/mine/%d" % n for n in (2, 3, 4)}
    assert all(stage.accept(0, n, 0, session) for n, session in sessions.items())
    assert not stage.accept(0, 6, 5)
    [request] = stage.requests()
    rows = {**sessions, 5: T, 6: T, 7: MY_SESSION}
    assert stage.answer(0, request.request_id, 7, rows).rows == (3, 4, 5)


# Losses.


def test_gap_counts_only_messages_for_this_node() -> None:
    stage = Stage()
    assert stage.accept(0, 1)
    stage.now += 10
    stage.receiver.subscriptions.add([b"later"], stage.now)
    stage.receiver.link_overrun(0, stage.now)
    stage.receiver.link_overrun(1, stage.now)
    *_, request = stage.requests()
    lost = (
        LostRow(T, (1, 2, 3), 5.0),  # 1 was received
        LostRow(MY_SESSION, (4,), 5.0),
        LostRow(b"false positive", (5,), 5.0),
        LostRow(b"later", (6,), 5.0),  # older than the subscription
    )
    result = stage.answer(0, request.request_id, 9, {8: T}, lost=lost)
    assert result.gap == BusGap(P, 2, 9, 3, "the node no longer keeps them")
    assert result.rows == (0,)
    assert (stage.receiver.counts.gaps, stage.receiver.counts.lost) == (1, 3)


def test_forgotten_topics_make_the_count_unknown() -> None:
    stage = Stage()
    stage.receiver.link_overrun(0, stage.now)
    [request] = stage.requests()
    gap = stage.answer(0, request.request_id, 9, forgotten=4).gap
    assert gap is not None
    assert gap.messages is None


def test_messages_lost_before_first_contact_are_no_gap() -> None:
    stage = Stage()
    stage.heartbeat(0, 40, node_id=Q)
    [request] = stage.requests()
    answer = ReplayAnswer(request.request_id, 40, True, 30, (LostRow(T, (39,), 0.0),), ())
    assert stage.receiver.answer(0, Q, answer, (), stage.now) == ReplayResult()


def test_row_that_predates_the_subscription_or_has_another_publisher_is_not_delivered() -> None:
    stage = Stage()
    stage.receiver.link_overrun(0, stage.now)
    [request] = stage.requests()
    rows = (ReplayedRow(T, b"", 1.0), ReplayedRow(T, b"", 0.0), ReplayedRow(b"none of mine", b"", 0.0))
    answer = ReplayAnswer(request.request_id, 3, True, 0, (), rows)
    assert stage.receiver.answer(0, P, answer, (1, 0, 3), stage.now) == ReplayResult()


# Repeating requests, and giving up.


def test_request_is_repeated_until_it_is_given_up_and_reported() -> None:
    stage = Stage()
    stage.receiver.link_overrun(0, stage.now)
    stage.heartbeat(0, 7)
    sent, gaps = 0, []
    for _ in range(MAX_UNANSWERED_REQUESTS + 3):
        sent += len(stage.requests())
        assert stage.requests() == []  # not twice within REPLAY_RETRY_S
        stage.now += REPLAY_RETRY_S
        gaps += stage.receiver.tick(stage.now)
    assert sent == MAX_UNANSWERED_REQUESTS
    assert gaps == [BusGap(P, 1, 7, None, f"the node did not answer {MAX_UNANSWERED_REQUESTS} replay requests")]
    assert stage.receiver.open_requests == 0
    assert stage.accept(0, 8, 7)


def test_new_generation_repeats_an_open_request_at_once() -> None:
    stage = Stage()
    stage.receiver.link_overrun(0, stage.now)
    assert len(stage.requests()) == 1
    stage.heartbeat(0, 0, generation=2)
    assert len(stage.requests()) == 1


def test_messages_missing_from_a_node_that_left_are_reported_at_once() -> None:
    stage = Stage()
    stage.receiver.link_overrun(0, stage.now)
    stage.heartbeat(0, 7)
    assert stage.receiver.node_left(P, stage.now, died=False) == BusGap(P, 1, 7, None, "the node has left")
    assert stage.receiver.open_requests == 0
    assert stage.receiver.node_left(Q, stage.now, died=False) is None


def test_silent_node_is_not_asked_until_it_returns() -> None:
    stage = Stage()
    stage.receiver.link_overrun(0, stage.now)
    assert stage.receiver.node_left(P, stage.now, died=True) is None
    stage.now += 30
    assert stage.requests() == []
    stage.heartbeat(0, 7)
    [request] = stage.requests()
    assert request.after == 0


def test_silent_node_that_does_not_return_is_given_up_once_its_messages_have_expired() -> None:
    stage = Stage()
    stage.receiver.link_overrun(0, stage.now)
    stage.heartbeat(0, 7)
    stage.receiver.node_left(P, stage.now, died=True)
    stage.now += KEEP_S - 1
    assert stage.receiver.tick(stage.now) == []
    stage.now += 1
    assert stage.receiver.tick(stage.now) == [BusGap(P, 1, 7, None, "the node died")]


def test_late_copy_from_a_node_that_left_is_dropped_until_the_node_is_forgotten() -> None:
    stage = Stage()
    assert stage.accept(0, 1)
    stage.receiver.node_left(P, stage.now, died=False)
    stage.now += KEEP_S + TOMBSTONE_MARGIN_S - 1
    stage.receiver.tick(stage.now)
    assert not stage.accept(1, 1)
    stage.now += 1
    stage.receiver.tick(stage.now)
    assert stage.accept(1, 1)


def test_messages_of_a_publisher_that_cannot_be_asked_are_delivered() -> None:
    """A broker may still deliver messages of a node that has left."""
    stage = Stage()
    stage.receiver.node_left(P, stage.now, died=False)
    for link in (0, 1):
        stage.receiver.link_lost(link)
    stage.receiver.link_connected(0, stage.now)
    assert stage.accept(0, 3, 2)
