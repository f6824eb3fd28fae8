from zmqio.cluster.delivery.replay_budget import FLOOR_BYTES_PER_S, SAVED_BYTES, SHARE, ReplayBudget
from zmqio.ids import NodeId
from zmqio.protocol.messages import ReplayRequest

A, B = NodeId("A"), NodeId("B")


def nothing_published() -> int:
    return 0


def request(number: int, filter_bytes: int = 8) -> ReplayRequest:
    return ReplayRequest(number, 0, 1.0, bytes(filter_bytes))


def test_requester_over_its_limit_waits_and_others_do_not() -> None:
    budget = ReplayBudget(100, nothing_published)
    assert budget.allows(A, 0.0)
    budget.spend(A, 150, 0.0)
    assert not budget.allows(A, 0.0)
    assert budget.allows(B, 0.0)
    assert budget.wait(A, A, request(1), 0)
    assert budget.take_due(0.4) == []
    assert budget.take_due(0.6) == [(A, A, request(1), 0)]
    assert budget.take_due(0.6) == []


def test_only_the_newest_request_of_a_requester_waits() -> None:
    budget = ReplayBudget(100, nothing_published)
    budget.spend(A, 150, 0.0)
    for number in range(5):
        budget.wait(A, A, request(number), 0)
    assert budget.take_due(9.0) == [(A, A, request(4), 0)]


def test_waiting_requests_are_limited_in_bytes() -> None:
    budget = ReplayBudget(100, nothing_published, max_waiting_bytes=20)
    assert budget.wait(A, A, request(1, 15), 0)
    assert not budget.wait(B, B, request(1, 15), 0)
    assert budget.wait(A, A, request(2, 15), 0)
    budget.forget(A)
    assert budget.wait(B, B, request(2, 15), 0)


def test_share_of_what_is_published_is_never_exceeded_for_long() -> None:
    """A requester that asks all the time gets at most `SHARE` bytes for each published one, and the floor."""
    published, sent_again, now = 0, 0, 0.0
    budget = ReplayBudget(1 << 30, lambda: published)
    for _ in range(10_000):
        now += 0.01
        published += 100_000
        if budget.allows(A, now):
            budget.spend(A, 1 << 20, now)
            sent_again += 1 << 20
    page = 1 << 20
    assert SHARE * published <= sent_again <= SHARE * published + FLOOR_BYTES_PER_S * now + SAVED_BYTES + page
    assert sent_again / (sent_again + published) < 0.78


def test_node_that_publishes_nothing_can_send_again_what_it_published() -> None:
    budget = ReplayBudget(1 << 30, nothing_published)
    budget.spend(A, SAVED_BYTES + FLOOR_BYTES_PER_S, 0.0)
    assert not budget.allows(A, 0.9)
    assert budget.allows(A, 1.1)
