from zmqio.cluster.delivery.replay_budget import ReplayBudget
from zmqio.ids import NodeId
from zmqio.protocol.messages import ReplayRequest

A, B = NodeId("A"), NodeId("B")


def request(number: int, filter_bytes: int = 8) -> ReplayRequest:
    return ReplayRequest(number, 0, 1.0, bytes(filter_bytes))


def test_requester_over_its_limit_waits_and_others_do_not() -> None:
    budget = ReplayBudget(100)
    assert budget.allows(A, 0.0)
    budget.spend(A, 150, 0.0)
    assert not budget.allows(A, 0.0)
    assert budget.allows(B, 0.0)
    assert budget.wait(A, A, request(1))
    assert budget.take_due(0.4) == []
    assert budget.take_due(0.6) == [(A, A, request(1))]
    assert budget.take_due(0.6) == []


def test_only_the_newest_request_of_a_requester_waits() -> None:
    budget = ReplayBudget(100)
    budget.spend(A, 150, 0.0)
    for number in range(5):
        budget.wait(A, A, request(number))
    assert budget.take_due(9.0) == [(A, A, request(4))]


def test_waiting_requests_are_limited_in_bytes() -> None:
    budget = ReplayBudget(100, max_waiting_bytes=20)
    assert budget.wait(A, A, request(1, 15))
    assert not budget.wait(B, B, request(1, 15))
    assert budget.wait(A, A, request(2, 15))
    budget.forget(A)
    assert budget.wait(B, B, request(2, 15))
