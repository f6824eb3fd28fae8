"""What a node does about what it misses, step by step; the promise as a whole is in `test_replay_machine`."""

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
    """A replay on two brokers that has met a publisher which has sent nothing yet."""

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
        """The publisher answers with rows, number -> topic, just sent."""
        rows = rows or {}
        messages = tuple(ReplayedRow(topic, b"", 0.0) for topic in rows.values())
        answer = ReplayAnswer(request_id, upto, complete, forgotten, lost, messages)
        return self.receiver.answer(link, P, answer, tuple(rows), self.now)


# Without trouble.


def test_each_message_is_delivered_once_whatever_link_is_first() -> None:
    stage = Stage()
    assert [stage.accept(0, 1), stage.accept(1, 1, 0), stage.accept(1, 2, 1), stage.accept(0, 2, 1)] == [
        True,
        False,
        True,
        False,
    ]
    assert stage.receiver.counts.duplicates == 2
    assert stage.receiver.open_requests == 0


def test_numbers_of_other_nodes_topics_are_not_missed() -> None:
    stage = Stage()
    assert stage.accept(0, 3)
    assert stage.accept(0, 9, 0, U)
    assert stage.receiver.open_requests == 0


def test_first_message_before_any_heartbeat_is_delivered_but_not_by_a_link_that_is_not_ready() -> None:
    stage = Stage()
    stage.receiver.link_lost(1)
    assert not stage.accept(1, 6, node_id=Q)
    assert stage.accept(0, 7, node_id=Q)
    assert not stage.accept(0, 7, node_id=Q)
    assert stage.receiver.open_requests == 0


def test_publisher_that_had_sent_before_the_first_meeting_is_asked_for_all_of_it() -> None:
    stage = Stage()
    stage.heartbeat(0, 40, node_id=Q)
    [request] = stage.requests()
    assert (request.after, stage.receiver.open_requests) == (0, 1)


# Links.


def test_loss_of_one_of_two_links_costs_no_question() -> None:
    stage = Stage()
    stage.receiver.link_lost(0)
    assert stage.accept(1, 1)
    stage.receiver.link_connected(0, stage.now)
    assert not stage.accept(0, 2, 1)  # it may have a hole before it: the other link will bring it
    assert stage.accept(1, 2, 1)
    assert stage.accept(0, 3, 2)
    assert stage.receiver.counts.requests == stage.receiver.open_requests == 0


def test_loss_of_both_links_asks_and_delivers_what_the_answer_brings() -> None:
    stage = Stage()
    assert stage.accept(0, 1)
    for link in (0, 1):
        stage.receiver.link_lost(link)
    assert stage.requests() == []  # there is no broker to ask by
    stage.receiver.link_connected(0, stage.now)
    assert not stage.accept(0, 5, 4)
    [request] = stage.requests()
    assert (request.after, T in TopicBloomFilter(request.topics)) == (1, True)
    assert stage.answer(0, request.request_id, 5, {3: U, 4: T, 5: T}).rows == (0, 1, 2)
    assert stage.accept(0, 6, 5)
    assert stage.receiver.counts.replayed == 3


def test_new_generation_of_the_only_link_is_asked_behind() -> None:
    stage = Stage()
    stage.receiver.link_lost(1)
    assert stage.accept(0, 1)
    stage.heartbeat(0, 4, generation=2)
    assert not stage.accept(0, 5, 4)
    [request] = stage.requests()
    assert request.after == 1


def test_answer_in_pages_is_asked_on_until_it_is_complete() -> None:
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


def test_answer_that_comes_by_both_links_is_delivered_once_and_makes_both_sound() -> None:
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


def test_answers_to_nobodys_question_are_of_no_use() -> None:
    stage = Stage()
    assert stage.answer(0, 99, 5, {5: T}) == ReplayResult()
    assert stage.receiver.answer(0, Q, ReplayAnswer(1, 5, True, 0, (), ()), (), stage.now) == ReplayResult()
    assert stage.accept(0, 1)


# Doubt and holes.


def test_doubt_about_one_of_two_links_asks_and_only_an_answer_by_that_link_ends_it() -> None:
    stage = Stage()
    stage.receiver.link_overrun(0, stage.now)
    [request] = stage.requests()
    assert stage.accept(1, 1)
    stage.answer(1, request.request_id, 1, {1: T})
    assert not stage.accept(0, 1)
    stage.answer(0, request.request_id, 1, {1: T})
    assert stage.accept(0, 2, 1)


def test_doubt_is_not_ended_by_the_answer_to_an_earlier_question() -> None:
    """That answer may stand in front of the hole."""
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


def test_doubt_that_arose_during_a_question_is_asked_about_even_if_another_link_is_sound() -> None:
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


def test_hole_on_a_topic_is_asked_for_though_other_topics_were_heard_since() -> None:
    stage = Stage()
    assert stage.accept(0, 1)
    assert stage.accept(0, 3, 0, U)
    assert not stage.accept(0, 4, 2)
    [request] = stage.requests()
    assert (request.after, stage.receiver.counts.link_gaps) == (1, 1)
    assert stage.answer(0, request.request_id, 4, {2: T, 3: U, 4: T}).rows == (0, 2)


def test_hole_that_is_older_than_what_is_asked_already_is_asked_for_too() -> None:
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


def test_hole_that_was_answered_for_is_not_asked_for_again() -> None:
    stage = Stage()
    stage.receiver.link_overrun(0, stage.now)
    [request] = stage.requests()
    stage.accept(1, 1)
    stage.answer(0, request.request_id, 5, {}, lost=(LostRow(T, (4,), 0.0),))
    assert stage.accept(0, 6, 4)
    assert stage.receiver.open_requests == 0


def test_question_about_a_hole_does_not_deliver_again_what_came_to_sessions_that_are_forgotten() -> None:
    stage = Stage(sessions_kept=2)
    assert stage.accept(0, 1)
    sessions = {n: b"s/mine/%d" % n for n in (2, 3, 4)}
    assert all(stage.accept(0, n, 0, session) for n, session in sessions.items())
    assert not stage.accept(0, 6, 5)
    [request] = stage.requests()
    rows = {**sessions, 5: T, 6: T, 7: MY_SESSION}
    assert stage.answer(0, request.request_id, 7, rows).rows == (3, 4, 5)


# What is lost.


def test_gap_counts_what_was_for_this_node_and_nothing_else() -> None:
    stage = Stage()
    assert stage.accept(0, 1)
    stage.now += 10
    stage.receiver.subscriptions.add([b"later"], stage.now)
    stage.receiver.link_overrun(0, stage.now)
    stage.receiver.link_overrun(1, stage.now)
    *_, request = stage.requests()
    lost = (
        LostRow(T, (1, 2, 3), 5.0),  # 1 was heard
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


def test_what_was_lost_before_the_first_meeting_was_not_missed() -> None:
    stage = Stage()
    stage.heartbeat(0, 40, node_id=Q)
    [request] = stage.requests()
    answer = ReplayAnswer(request.request_id, 40, True, 30, (LostRow(T, (39,), 0.0),), ())
    assert stage.receiver.answer(0, Q, answer, (), stage.now) == ReplayResult()


def test_row_older_than_the_subscription_or_no_message_of_the_publisher_is_not_delivered() -> None:
    stage = Stage()
    stage.receiver.link_overrun(0, stage.now)
    [request] = stage.requests()
    rows = (ReplayedRow(T, b"", 1.0), ReplayedRow(T, b"", 0.0), ReplayedRow(b"none of mine", b"", 0.0))
    answer = ReplayAnswer(request.request_id, 3, True, 0, (), rows)
    assert stage.receiver.answer(0, P, answer, (1, 0, 3), stage.now) == ReplayResult()


# Asking, and giving up.


def test_question_is_sent_again_until_it_is_given_up_and_told() -> None:
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


def test_new_generation_sends_an_open_question_again_at_once() -> None:
    stage = Stage()
    stage.receiver.link_overrun(0, stage.now)
    assert len(stage.requests()) == 1
    stage.heartbeat(0, 0, generation=2)
    assert len(stage.requests()) == 1


def test_what_is_missing_of_a_node_that_has_left_is_told_at_once() -> None:
    stage = Stage()
    stage.receiver.link_overrun(0, stage.now)
    stage.heartbeat(0, 7)
    assert stage.receiver.node_left(P, stage.now, died=False) == BusGap(P, 1, 7, None, "the node has left")
    assert stage.receiver.open_requests == 0
    assert stage.receiver.node_left(Q, stage.now, died=False) is None


def test_silent_node_is_not_asked_until_it_comes_back() -> None:
    stage = Stage()
    stage.receiver.link_overrun(0, stage.now)
    assert stage.receiver.node_left(P, stage.now, died=True) is None
    stage.now += 30
    assert stage.requests() == []
    stage.heartbeat(0, 7)
    [request] = stage.requests()
    assert request.after == 0


def test_silent_node_that_does_not_come_back_is_given_up_when_nobody_keeps_its_messages_any_more() -> None:
    stage = Stage()
    stage.receiver.link_overrun(0, stage.now)
    stage.heartbeat(0, 7)
    stage.receiver.node_left(P, stage.now, died=True)
    stage.now += KEEP_S - 1
    assert stage.receiver.tick(stage.now) == []
    stage.now += 1
    assert stage.receiver.tick(stage.now) == [BusGap(P, 1, 7, None, "the node died")]


def test_old_copy_of_a_gone_node_does_not_pass_as_new_until_it_is_forgotten() -> None:
    stage = Stage()
    assert stage.accept(0, 1)
    stage.receiver.node_left(P, stage.now, died=False)
    stage.now += KEEP_S + TOMBSTONE_MARGIN_S - 1
    stage.receiver.tick(stage.now)
    assert not stage.accept(1, 1)
    stage.now += 1
    stage.receiver.tick(stage.now)
    assert stage.accept(1, 1)


def test_publisher_that_does_not_live_is_taken_on_trust() -> None:
    """What the broker still had of a node that has left cannot be asked for."""
    stage = Stage()
    stage.receiver.node_left(P, stage.now, died=False)
    for link in (0, 1):
        stage.receiver.link_lost(link)
    stage.receiver.link_connected(0, stage.now)
    assert stage.accept(0, 3, 2)
