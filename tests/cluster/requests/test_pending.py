from hypothesis import given
from hypothesis import strategies as st

from zmqio.cluster.requests.pending import PendingRequests
from zmqio.ids import NodeId

A, B, C = NodeId("a"), NodeId("b"), NodeId("c")


def test_request_is_complete_when_every_node_has_said_its_last_part() -> None:
    requests = PendingRequests()
    request = requests.open([A, B])
    assert requests.part(request.id, A, [1], last=True) is None
    assert requests.part(request.id, B, [2, 3], last=False) is None
    assert requests.part(request.id, B, [], last=True) is request
    assert (request.answers, request.missing) == ([1, 2, 3], [])


def test_request_to_nobody_is_complete_at_once() -> None:
    assert PendingRequests().open([]).complete


def test_clients_answer_one_by_one_after_their_number() -> None:
    requests = PendingRequests()
    request = requests.open([A, B])
    requests.expect(request.id, A, 2)
    assert requests.expect(request.id, B, 0) is None
    assert requests.answer(request.id, A, "x") is None
    assert (request.expected, request.missing) == (2, [])
    assert requests.answer(request.id, A, "y") is request
    assert request.answers == ["x", "y"]


def test_silent_node_is_missing_and_one_with_silent_clients_is_not() -> None:
    requests = PendingRequests()
    request = requests.open([A, B])
    requests.expect(request.id, A, 2)
    assert request.missing == [B]
    assert request.expected == 2


def test_dead_node_ends_the_wait_for_it_and_is_named() -> None:
    requests = PendingRequests()
    request, other = requests.open([A, B]), requests.open([A])
    requests.part(request.id, A, [1], last=True)
    assert requests.node_gone(B, died=True) == [request]
    assert (request.complete, request.lost, request.missing, request.answers) == (True, [B], [B], [1])
    assert not other.complete


def test_dead_node_that_had_said_everything_is_not_missing() -> None:
    requests = PendingRequests()
    request = requests.open([A, B])
    requests.part(request.id, A, [1], last=True)
    assert requests.node_gone(A, died=True) == []
    assert request.missing == [B]


def test_dead_node_whose_clients_were_asked_is_named_and_keeps_its_number() -> None:
    requests = PendingRequests()
    request = requests.open([A])
    requests.expect(request.id, A, 3)
    requests.answer(request.id, A, "x")
    assert requests.node_gone(A, died=True) == [request]
    assert (request.expected, request.missing) == (3, [A])


def test_node_that_says_goodbye_is_not_missing() -> None:
    requests = PendingRequests()
    request = requests.open([A])
    assert requests.node_gone(A, died=False) == [request]
    assert (request.complete, request.missing) == (True, [])


def test_late_unknown_and_doubled_answers_are_ignored_and_counted() -> None:
    requests = PendingRequests()
    closed = requests.open([A])
    requests.close(closed)
    requests.close(closed)
    request = requests.open([A, B])
    requests.part(request.id, A, [1], last=True)
    assert requests.part(closed.id, A, [9], last=True) is None
    assert requests.part(77, A, [9], last=True) is None
    assert requests.part(request.id, A, [1], last=True) is None
    assert requests.answer(request.id, A, 9) is None
    requests.expect(request.id, A, 9)
    assert requests.ignored == {"late": 1, "unknown": 1, "doubled": 3}
    assert (request.answers, request.missing) == ([1], [B])


def test_node_that_was_not_known_takes_part_in_an_open_request() -> None:
    requests = PendingRequests()
    request = requests.open([A])
    requests.part(request.id, C, ["from c"], last=False)
    assert requests.part(request.id, A, ["from a"], last=True) is None
    assert requests.part(request.id, C, [], last=True) is request
    assert request.answers == ["from c", "from a"]


@given(st.permutations([("count", A), ("x", A), ("y", A), ("count", B), ("z", B)]))
def test_order_of_counts_and_answers_does_not_matter(order: list[tuple[str, NodeId]]) -> None:
    requests = PendingRequests()
    request = requests.open([A, B])
    counts = {A: 2, B: 1}
    done = [
        requests.expect(request.id, node, counts[node])
        if what == "count"
        else requests.answer(request.id, node, what)
        for what, node in order
    ]
    assert done == [None] * 4 + [request]
    assert sorted(request.answers) == ["x", "y", "z"]
