from hypothesis import given
from hypothesis import strategies as st

from zmqio.cluster.requests.pending import PendingRequests
from zmqio.ids import NodeId

A, B, C = NodeId("a"), NodeId("b"), NodeId("c")


def test_request_is_complete_after_the_last_batch_of_every_node() -> None:
    requests = PendingRequests()
    request = requests.open([A, B])
    assert requests.add_batch(request.id, A, [1], last=True) is None
    assert requests.add_batch(request.id, B, [2, 3], last=False) is None
    assert requests.add_batch(request.id, B, [], last=True) is request
    assert (request.responses, request.missing) == ([1, 2, 3], [])


def test_request_to_no_nodes_is_complete_at_once() -> None:
    assert PendingRequests().open([]).complete


def test_client_answers_arrive_one_by_one_after_their_count() -> None:
    requests = PendingRequests()
    request = requests.open([A, B])
    requests.set_expected(request.id, A, 2)
    assert requests.set_expected(request.id, B, 0) is None
    assert requests.add_response(request.id, A, "x") is None
    assert (request.expected, request.missing) == (2, [])
    assert requests.add_response(request.id, A, "y") is request
    assert request.responses == ["x", "y"]


def test_silent_node_is_missing_but_a_node_with_silent_clients_is_not() -> None:
    requests = PendingRequests()
    request = requests.open([A, B])
    requests.set_expected(request.id, A, 2)
    assert request.missing == [B]
    assert request.expected == 2


def test_dead_node_completes_its_requests_and_is_missing() -> None:
    requests = PendingRequests()
    request, other = requests.open([A, B]), requests.open([A])
    requests.add_batch(request.id, A, [1], last=True)
    assert requests.remove_node(B, died=True) == [request]
    assert (request.complete, request.dead, request.missing, request.responses) == (True, [B], [B], [1])
    assert not other.complete


def test_node_that_died_after_responding_is_not_missing() -> None:
    requests = PendingRequests()
    request = requests.open([A, B])
    requests.add_batch(request.id, A, [1], last=True)
    assert requests.remove_node(A, died=True) == []
    assert request.missing == [B]


def test_node_that_died_after_asking_its_clients_is_missing_and_they_stay_expected() -> None:
    requests = PendingRequests()
    request = requests.open([A])
    requests.set_expected(request.id, A, 3)
    requests.add_response(request.id, A, "x")
    assert requests.remove_node(A, died=True) == [request]
    assert (request.expected, request.missing) == (3, [A])


def test_node_that_left_with_a_goodbye_is_not_missing() -> None:
    requests = PendingRequests()
    request = requests.open([A])
    assert requests.remove_node(A, died=False) == [request]
    assert (request.complete, request.missing) == (True, [])


def test_late_unknown_and_duplicate_responses_are_ignored_and_counted() -> None:
    requests = PendingRequests()
    closed = requests.open([A])
    requests.close(closed)
    requests.close(closed)
    request = requests.open([A, B])
    requests.add_batch(request.id, A, [1], last=True)
    assert requests.add_batch(closed.id, A, [9], last=True) is None
    assert requests.add_batch(77, A, [9], last=True) is None
    assert requests.add_batch(request.id, A, [1], last=True) is None
    assert requests.add_response(request.id, A, 9) is None
    requests.set_expected(request.id, A, 9)
    assert requests.ignored == {"late": 1, "unknown": 1, "duplicate": 3}
    assert (request.responses, request.missing) == ([1], [B])


def test_responding_node_that_was_not_asked_becomes_part_of_the_request() -> None:
    requests = PendingRequests()
    request = requests.open([A])
    requests.add_batch(request.id, C, ["from c"], last=False)
    assert requests.add_batch(request.id, A, ["from a"], last=True) is None
    assert requests.add_batch(request.id, C, [], last=True) is request
    assert request.responses == ["from c", "from a"]


@given(st.permutations([("count", A), ("x", A), ("y", A), ("count", B), ("z", B)]))
def test_order_of_counts_and_answers_does_not_matter(order: list[tuple[str, NodeId]]) -> None:
    requests = PendingRequests()
    request = requests.open([A, B])
    counts = {A: 2, B: 1}
    done = [
        requests.set_expected(request.id, node, counts[node])
        if what == "count"
        else requests.add_response(request.id, node, what)
        for what, node in order
    ]
    assert done == [None] * 4 + [request]
    assert sorted(request.responses) == ["x", "y", "z"]


def test_lower_count_of_clients_completes_a_request_and_a_higher_one_is_ignored() -> None:
    requests = PendingRequests()
    request = requests.open([A])
    requests.set_expected(request.id, A, 3)
    requests.add_response(request.id, A, "x")
    assert requests.set_expected(request.id, A, 4) is None
    assert requests.set_expected(request.id, A, 2) is None
    assert request.expected == 2
    assert requests.set_expected(request.id, A, 1) is request
    assert requests.set_expected(request.id, A, 0) is None
    assert (request.responses, request.missing, request.expected) == (["x"], [], 1)
    assert requests.ignored["duplicate"] == 2
