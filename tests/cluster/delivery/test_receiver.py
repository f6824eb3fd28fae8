"""A receiver detects and requests missing messages, step by step.

`test_replay_machine` tests the guarantee as a whole.
"""

from zmqio.adapter.base import BusGap
from zmqio.cluster.delivery.bloom_filter import TopicBloomFilter
from zmqio.cluster.delivery.checks import CHECK_EVERY_S
from zmqio.cluster.delivery.publisher import LATE_RETRY_S
from zmqio.cluster.delivery.receiver import (
    MAX_UNANSWERED_REQUESTS,
    REPLAY_RETRY_S,
    STALL_S,
    TOMBSTONE_MARGIN_S,
    Receiver,
    ReplayResult,
)
from zmqio.cluster.delivery.subscriptions import TopicSubscriptions
from zmqio.ids import NodeId
from zmqio.protocol.messages import LostRow, MessageId, ReplayAnswer, ReplayedRow, ReplayRequest, TopicRow

P, Q = NodeId("P"), NodeId("Q")
T, U, MY_SESSION = b"t", b"u", b"s/mine/1"
KEEP_S = 60.0


class Harness:
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
        return [request for _, request, _ in self.receiver.take_due_requests(self.now)]

    def checks(self) -> list[ReplayRequest]:
        return [request for _, request, _ in self.receiver.take_due_checks(self.now)]

    def checked(self) -> ReplayRequest:
        """Receive up to 5 by the second link, and check it, because it is read too slowly."""
        self.receiver.link_lost(0)
        assert self.accept(1, 5)
        self.receiver.link_overrun(1, self.now)
        assert self.requests() == []
        [check] = self.checks()
        return check

    def stall(self) -> None:
        self.receiver.tick(self.now)
        self.now += STALL_S + 1
        self.receiver.tick(self.now)

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
        newest: tuple[TopicRow, ...] = (),
    ) -> ReplayResult:
        """The publisher answers; `rows` are number -> topic of messages that were just sent."""
        rows = rows or {}
        messages = tuple(ReplayedRow(topic, b"", 0.0) for topic in rows.values())
        answer = ReplayAnswer(request_id, upto, complete, forgotten, lost, messages, newest)
        return self.receiver.answer(link, P, answer, tuple(rows), self.now)


# Without failures.


def test_message_is_delivered_once_by_the_first_link_that_brings_it() -> None:
    harness = Harness()
    assert [harness.accept(0, 1), harness.accept(1, 1, 0), harness.accept(1, 2, 1), harness.accept(0, 2, 1)] == [
        True,
        False,
        True,
        False,
    ]
    assert harness.receiver.counts.duplicates == 2
    assert harness.receiver.open_requests == 0


def test_numbers_used_on_other_topics_are_not_missed() -> None:
    harness = Harness()
    assert harness.accept(0, 3)
    assert harness.accept(0, 9, 0, U)
    assert harness.receiver.open_requests == 0


def test_first_message_before_any_heartbeat_is_delivered_only_by_a_connected_link() -> None:
    harness = Harness()
    harness.receiver.link_lost(1)
    assert not harness.accept(1, 6, node_id=Q)
    assert harness.accept(0, 7, node_id=Q)
    assert not harness.accept(0, 7, node_id=Q)
    assert harness.receiver.open_requests == 0


def test_new_publisher_is_asked_for_everything_it_sent_before_its_first_heartbeat() -> None:
    harness = Harness()
    harness.heartbeat(0, 40, node_id=Q)
    [request] = harness.requests()
    assert (request.after, harness.receiver.open_requests) == (0, 1)


# Links.


def test_loss_of_one_of_two_links_costs_no_request() -> None:
    harness = Harness()
    harness.receiver.link_lost(0)
    assert harness.accept(1, 1)
    harness.receiver.link_connected(0, harness.now)
    assert not harness.accept(0, 2, 1)  # there may be a gap before it; the other link will deliver it
    assert harness.accept(1, 2, 1)
    assert harness.accept(0, 3, 2)
    assert harness.receiver.counts.requests == harness.receiver.open_requests == 0


def test_loss_of_both_links_sends_a_request_and_delivers_its_answer() -> None:
    harness = Harness()
    assert harness.accept(0, 1)
    for link in (0, 1):
        harness.receiver.link_lost(link)
    assert harness.requests() == []  # no broker is connected
    harness.receiver.link_connected(0, harness.now)
    assert not harness.accept(0, 5, 4)
    [request] = harness.requests()
    assert (request.after, T in TopicBloomFilter(request.topics)) == (1, True)
    assert harness.answer(0, request.request_id, 5, {3: U, 4: T, 5: T}).rows == (0, 1, 2)
    assert harness.accept(0, 6, 5)
    assert harness.receiver.counts.replayed == 3


def test_new_generation_of_the_only_link_sends_a_request() -> None:
    harness = Harness()
    harness.receiver.link_lost(1)
    assert harness.accept(0, 1)
    harness.heartbeat(0, 4, generation=2)
    assert not harness.accept(0, 5, 4)
    [request] = harness.requests()
    assert request.after == 1


def test_incomplete_answer_is_followed_by_the_next_request() -> None:
    harness = Harness()
    harness.receiver.link_doubted(0, harness.now)
    harness.receiver.link_doubted(1, harness.now)
    [first] = harness.requests()
    assert harness.answer(0, first.request_id, 3, {2: T}, complete=False).rows == (0,)
    assert not harness.accept(0, 8, 2)
    [second] = harness.requests()
    assert (second.after, second.request_id) == (3, first.request_id + 1)
    assert harness.answer(0, second.request_id, 8, {8: T}).rows == (0,)
    assert harness.accept(0, 9, 8)


def test_answer_by_both_links_is_delivered_once_and_makes_both_gapless() -> None:
    harness = Harness()
    for link in (0, 1):
        harness.receiver.link_lost(link)
    for link in (0, 1):
        harness.receiver.link_connected(link, harness.now)
    [request] = harness.requests()
    assert harness.answer(0, request.request_id, 2, {2: T}).rows == (0,)
    assert harness.answer(1, request.request_id, 2, {2: T}) == ReplayResult()
    assert harness.accept(1, 3, 2)
    assert harness.accept(0, 4, 3)


def test_unrequested_answers_are_ignored() -> None:
    harness = Harness()
    assert harness.answer(0, 99, 5, {5: T}) == ReplayResult()
    assert harness.receiver.answer(0, Q, ReplayAnswer(1, 5, True, 0, (), ()), (), harness.now) == ReplayResult()
    assert harness.accept(0, 1)


# Suspect links and gaps.


def test_suspect_link_sends_a_request_and_only_an_answer_by_that_link_clears_it() -> None:
    harness = Harness()
    harness.receiver.link_doubted(0, harness.now)
    [request] = harness.requests()
    assert harness.accept(1, 1)
    harness.answer(1, request.request_id, 1, {1: T})
    assert not harness.accept(0, 1)
    harness.answer(0, request.request_id, 1, {1: T})
    assert harness.accept(0, 2, 1)


def test_answer_to_an_earlier_request_does_not_clear_a_suspect_link() -> None:
    """That answer may have been sent before the gap."""
    harness = Harness()
    harness.receiver.link_lost(1)
    harness.heartbeat(0, 1, generation=2)
    [early] = harness.requests()
    harness.receiver.link_doubted(0, harness.now)
    assert harness.answer(0, early.request_id, 1, {1: T}).rows == (0,)
    assert not harness.accept(0, 3, 0, U)  # 2 was dropped
    [late] = harness.requests()
    assert late.after == 1
    assert harness.answer(0, late.request_id, 3, {2: T, 3: U}).rows == (0, 1)
    assert harness.accept(0, 4, 2)


def test_link_that_is_read_too_slowly_after_a_stall_is_requested_once_and_then_checked() -> None:
    harness = Harness()
    harness.receiver.link_lost(0)
    harness.stall()
    harness.receiver.link_overrun(1, harness.now)
    [request] = harness.requests()
    harness.receiver.link_overrun(1, harness.now)
    assert (harness.requests(), harness.checks()) == ([], [])
    harness.answer(1, request.request_id, 5, {5: T})
    harness.receiver.link_overrun(1, harness.now)
    assert harness.accept(1, 6, 5)
    assert harness.requests() == []
    assert [(check.after, check.numbers_only) for check in harness.checks()] == [(5, True)]


def test_message_dropped_as_the_last_of_its_topic_is_requested_after_a_check() -> None:
    harness = Harness()
    check = harness.checked()
    assert harness.accept(1, 7, 0, U)  # 6 was dropped
    harness.answer(1, check.request_id, 7, newest=(TopicRow(T, 6, 0.0), TopicRow(U, 7, 0.0)))
    [request] = harness.requests()
    assert (request.after, request.numbers_only, harness.receiver.counts.link_gaps) == (5, False, 1)
    assert harness.answer(1, request.request_id, 7, {6: T, 7: U}).rows == (0,)
    assert harness.accept(1, 8, 6)


def test_first_message_of_a_topic_that_was_dropped_during_the_checks_is_a_gap() -> None:
    harness = Harness()
    harness.checked()
    assert not harness.accept(1, 8, 7, U)  # 7 was dropped, and nothing was received on its topic before
    [request] = harness.requests()
    assert request.after == 5
    assert harness.answer(1, request.request_id, 8, {7: U, 8: U}).rows == (0, 1)


def test_checks_end_with_the_second_answer_without_a_doubt() -> None:
    harness = Harness()
    check = harness.checked()
    harness.receiver.link_overrun(1, harness.now)
    for upto in (6, 7, 8):
        assert harness.receiver.is_waiting
        harness.answer(1, check.request_id, upto, newest=())
        assert harness.checks() == []
        harness.now += CHECK_EVERY_S
        check = next(iter(harness.checks()), check)
    assert not harness.receiver.is_waiting


def test_request_during_the_checks_includes_what_was_not_checked() -> None:
    harness = Harness()
    harness.checked()
    assert harness.accept(1, 7, 0, U)  # 6 was dropped
    harness.heartbeat(1, 9, generation=2)
    assert [request.after for request in harness.requests()] == [5]


def test_release_that_answers_a_check_with_all_messages_is_asked_for_them() -> None:
    harness = Harness()
    check = harness.checked()
    assert harness.answer(1, check.request_id, 6, {6: T}) == ReplayResult()
    assert [request.after for request in harness.requests()] == [5]


def test_message_older_than_the_subscription_or_answered_is_not_missed_by_a_check() -> None:
    harness = Harness()
    check = harness.checked()
    harness.answer(
        1, check.request_id, 9, newest=(TopicRow(T, 4, 0.0), TopicRow(U, 6, 60.0), TopicRow(b"x", 7, 0.0))
    )
    assert harness.requests() == []


def test_gap_on_a_topic_is_requested_though_later_messages_of_other_topics_were_received() -> None:
    harness = Harness()
    assert harness.accept(0, 1)
    assert harness.accept(0, 3, 0, U)
    assert not harness.accept(0, 4, 2)
    [request] = harness.requests()
    assert (request.after, harness.receiver.counts.link_gaps) == (1, 1)
    assert harness.answer(0, request.request_id, 4, {2: T, 3: U, 4: T}).rows == (0, 2)


def test_gap_older_than_the_open_request_widens_the_request() -> None:
    harness = Harness()
    assert harness.accept(0, 1)
    assert harness.accept(0, 3, 0, U)
    harness.receiver.link_doubted(1, harness.now)
    [narrow] = harness.requests()
    assert not harness.accept(0, 4, 2)
    [wide] = harness.requests()
    assert (narrow.after, wide.after) == (3, 1)
    assert harness.answer(0, narrow.request_id, 4, {4: T}) == ReplayResult()
    assert harness.answer(0, wide.request_id, 4, {2: T, 3: U, 4: T}).rows == (0, 2)


def test_gap_that_an_answer_has_covered_is_not_requested_again() -> None:
    harness = Harness()
    harness.receiver.link_doubted(0, harness.now)
    [request] = harness.requests()
    harness.accept(1, 1)
    harness.answer(0, request.request_id, 5, {}, lost=(LostRow(T, (4,), 0.0),))
    assert harness.accept(0, 6, 4)
    assert harness.receiver.open_requests == 0


def test_replay_of_a_gap_does_not_repeat_messages_to_forgotten_session_topics() -> None:
    harness = Harness(sessions_kept=2)
    assert harness.accept(0, 1)
    sessions = {n: b"s/mine/%d" % n for n in (2, 3, 4)}
    assert all(harness.accept(0, n, 0, session) for n, session in sessions.items())
    assert not harness.accept(0, 6, 5)
    [request] = harness.requests()
    rows = {**sessions, 5: T, 6: T, 7: MY_SESSION}
    assert harness.answer(0, request.request_id, 7, rows).rows == (3, 4, 5)


# Losses.


def test_gap_counts_only_messages_for_this_node() -> None:
    harness = Harness()
    assert harness.accept(0, 1)
    harness.now += 10
    harness.receiver.subscriptions.add([b"later"], harness.now)
    harness.receiver.link_doubted(0, harness.now)
    harness.receiver.link_doubted(1, harness.now)
    *_, request = harness.requests()
    lost = (
        LostRow(T, (1, 2, 3), 5.0),  # 1 was received
        LostRow(MY_SESSION, (4,), 5.0),
        LostRow(b"false positive", (5,), 5.0),
        LostRow(b"later", (6,), 5.0),  # older than the subscription
    )
    result = harness.answer(0, request.request_id, 9, {8: T}, lost=lost)
    assert result.gap == BusGap(P, 2, 9, 3, "the node no longer keeps them")
    assert result.lost_topics == {T, MY_SESSION}
    assert result.rows == (0,)
    assert (harness.receiver.counts.gaps, harness.receiver.counts.lost) == (1, 3)


def test_forgotten_topics_make_the_count_unknown() -> None:
    harness = Harness()
    harness.receiver.link_doubted(0, harness.now)
    [request] = harness.requests()
    result = harness.answer(0, request.request_id, 9, forgotten=4)
    assert result.gap is not None
    assert result.gap.messages is None
    assert result.lost_topics is None


def test_messages_lost_before_first_contact_are_no_gap() -> None:
    harness = Harness()
    harness.heartbeat(0, 40, node_id=Q)
    [request] = harness.requests()
    answer = ReplayAnswer(request.request_id, 40, True, 30, (LostRow(T, (39,), 0.0),), ())
    assert harness.receiver.answer(0, Q, answer, (), harness.now) == ReplayResult()


def test_row_that_predates_the_subscription_or_has_another_publisher_is_not_delivered() -> None:
    harness = Harness()
    harness.receiver.link_doubted(0, harness.now)
    [request] = harness.requests()
    rows = (ReplayedRow(T, b"", 1.0), ReplayedRow(T, b"", 0.0), ReplayedRow(b"none of mine", b"", 0.0))
    answer = ReplayAnswer(request.request_id, 3, True, 0, (), rows)
    assert harness.receiver.answer(0, P, answer, (1, 0, 3), harness.now) == ReplayResult()


# Repeating requests, and giving up.


def test_request_is_repeated_until_it_is_given_up_and_reported() -> None:
    harness = Harness()
    harness.receiver.link_doubted(0, harness.now)
    harness.heartbeat(0, 7)
    sent, gaps = 0, []
    for _ in range(MAX_UNANSWERED_REQUESTS + 3):
        sent += len(harness.requests())
        assert harness.requests() == []  # not twice within REPLAY_RETRY_S
        harness.now += REPLAY_RETRY_S
        gaps += harness.receiver.tick(harness.now)
    assert sent == MAX_UNANSWERED_REQUESTS
    assert gaps == [BusGap(P, 1, 7, None, f"the node did not answer {MAX_UNANSWERED_REQUESTS} replay requests")]
    assert harness.receiver.open_requests == 0
    assert harness.accept(0, 8, 7)


def test_new_generation_repeats_an_open_request_at_once() -> None:
    harness = Harness()
    harness.receiver.link_doubted(0, harness.now)
    assert len(harness.requests()) == 1
    harness.heartbeat(0, 0, generation=2)
    assert len(harness.requests()) == 1


def test_messages_missing_from_a_node_that_left_are_reported_at_once() -> None:
    harness = Harness()
    harness.receiver.link_doubted(0, harness.now)
    harness.heartbeat(0, 7)
    assert harness.receiver.node_left(P, harness.now, died=False) == BusGap(P, 1, 7, None, "the node has left")
    assert harness.receiver.open_requests == 0
    assert harness.receiver.node_left(Q, harness.now, died=False) is None


def test_silent_node_is_not_asked_until_it_returns() -> None:
    harness = Harness()
    harness.receiver.link_doubted(0, harness.now)
    assert harness.receiver.node_left(P, harness.now, died=True) is None
    harness.now += 30
    assert harness.requests() == []
    harness.heartbeat(0, 7)
    [request] = harness.requests()
    assert request.after == 0


def test_silent_node_that_does_not_return_is_given_up_once_its_messages_have_expired() -> None:
    harness = Harness()
    harness.receiver.link_doubted(0, harness.now)
    harness.heartbeat(0, 7)
    harness.receiver.node_left(P, harness.now, died=True)
    harness.now += KEEP_S - 1
    assert harness.receiver.tick(harness.now) == []
    harness.now += 1
    assert harness.receiver.tick(harness.now) == [BusGap(P, 1, 7, None, "the node died")]


def test_late_copy_from_a_node_that_left_is_dropped_until_the_node_is_forgotten() -> None:
    harness = Harness()
    assert harness.accept(0, 1)
    harness.receiver.node_left(P, harness.now, died=False)
    harness.now += KEEP_S + TOMBSTONE_MARGIN_S - 1
    harness.receiver.tick(harness.now)
    assert not harness.accept(1, 1)
    harness.now += 1
    harness.receiver.tick(harness.now)
    assert harness.accept(1, 1)


def test_messages_of_a_publisher_that_cannot_be_asked_are_delivered() -> None:
    """A broker may still deliver messages of a node that has left."""
    harness = Harness()
    harness.receiver.node_left(P, harness.now, died=False)
    for link in (0, 1):
        harness.receiver.link_lost(link)
    harness.receiver.link_connected(0, harness.now)
    assert harness.accept(0, 3, 2)


def test_publisher_that_never_sends_a_heartbeat_is_forgotten() -> None:
    harness = Harness()
    assert harness.accept(0, 7, node_id=Q)
    harness.now += KEEP_S + TOMBSTONE_MARGIN_S
    harness.receiver.tick(harness.now)
    assert harness.accept(0, 7, node_id=Q)  # as from a publisher that is not known


def test_messages_of_too_many_publishers_without_a_heartbeat_are_left_to_a_replay() -> None:
    harness = Harness()
    harness.receiver.max_gone = 10
    assert [harness.accept(0, 1, node_id=NodeId(f"N{number}")) for number in range(12)] == [True] * 10 + [
        False
    ] * 2
    harness.heartbeat(0, 1, node_id=NodeId("N11"))
    assert [request.after for request in harness.requests()] == [0]


def test_request_is_sent_by_one_link_and_repeated_by_all() -> None:
    harness = Harness()
    harness.receiver.link_doubted(1, harness.now)
    assert [link for _, _, link in harness.receiver.take_due_requests(harness.now)] == [1]
    harness.now += 1.0
    assert [link for _, _, link in harness.receiver.take_due_requests(harness.now)] == [None]


def test_request_is_not_repeated_while_its_answer_waits_behind_other_messages() -> None:
    """Each repetition would be answered, too, and would add to the messages that wait."""
    harness = Harness()
    harness.receiver.link_doubted(0, harness.now)
    assert len(harness.requests()) == 1
    for _ in range(5):
        harness.now += 0.9
        harness.receiver.link_overrun(0, harness.now)
        assert harness.requests() == []
    harness.now += LATE_RETRY_S
    assert len(harness.requests()) == 1
