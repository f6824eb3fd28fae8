from zmqio.cluster.delivery.checks import CHECK_EVERY_S, Checks
from zmqio.cluster.delivery.publisher import LATE_RETRY_S, PublisherState
from zmqio.cluster.delivery.subscriptions import TopicSubscriptions
from zmqio.ids import NodeId
from zmqio.protocol.messages import ReplayAnswer, TopicRow

P = NodeId("P")
T = b"t"


def make(received: int = 5) -> tuple[Checks, PublisherState]:
    subscriptions = TopicSubscriptions(b"s/", 0.0)
    subscriptions.add([T], 0.0)
    checks, publisher = Checks(subscriptions), PublisherState(received=received, gapless=1, alive=True)
    checks.doubt(P, publisher, 10.0)
    return checks, publisher


def answer(upto: int, *rows: TopicRow, complete: bool = True, forgotten: int = 0) -> ReplayAnswer:
    return ReplayAnswer(1, upto, complete, forgotten, (), (), rows)


def test_check_is_sent_at_once_and_repeated_only_after_its_time() -> None:
    checks, _ = make()
    assert [check.after for _, _, check in checks.take_due(10.0)] == [5]
    assert checks.take_due(10.0 + LATE_RETRY_S - 0.1) == []
    assert len(checks.take_due(10.0 + LATE_RETRY_S)) == 1


def test_publisher_that_cannot_be_asked_or_was_asked_for_messages_is_not_checked() -> None:
    checks, publisher = make()
    publisher.gapless = 0
    assert checks.take_due(10.0) == []
    publisher.gapless, publisher.alive = 1, False
    assert checks.take_due(10.0) == []


def test_missing_newest_message_gives_the_number_to_request_after() -> None:
    checks, publisher = make()
    checks.take_due(10.0)
    assert checks.answered(P, publisher, answer(9, TopicRow(T, 8, 0.0)), 10.0) == 5
    checks.subscriptions._topics[T].last[P] = 8
    assert checks.answered(P, publisher, answer(9, TopicRow(T, 8, 0.0)), 10.0) is None
    assert publisher.check is not None
    assert publisher.check.after == 9


def test_numbers_that_are_too_old_to_be_known_are_requested() -> None:
    checks, publisher = make()
    checks.take_due(10.0)
    assert checks.answered(P, publisher, answer(9, forgotten=2), 10.0) == 5


def test_incomplete_answer_is_followed_at_once() -> None:
    checks, publisher = make()
    checks.take_due(10.0)
    checks.answered(P, publisher, answer(7, complete=False), 10.0)
    assert [check.after for _, _, check in checks.take_due(10.0)] == [7]


def test_doubt_prolongs_the_checks() -> None:
    checks, publisher = make()
    now = 10.0
    for doubted in (True, False, True, False, False):
        assert len(checks) == 1
        assert len(checks.take_due(now)) == 1
        if doubted:
            checks.doubt(P, publisher, now)
        checks.answered(P, publisher, answer(9), now)
        now += CHECK_EVERY_S
    assert (len(checks), publisher.check) == (0, None)


def test_forgotten_publisher_is_not_checked() -> None:
    checks, _ = make()
    checks.forget([P])
    assert checks.take_due(99.0) == []
