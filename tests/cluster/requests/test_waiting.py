import asyncio

import pytest

from zmqio.cluster.requests.waiting import PendingResponses
from zmqio.exceptions import RequestTimeoutError
from zmqio.ids import NodeId
from zmqio.protocol.values import pack_values

A, B = NodeId("a"), NodeId("b")
ONE = pack_values([1])


async def test_result_arrives_with_the_last_response() -> None:
    responses = PendingResponses()
    with responses.open([A, B]) as request:
        waiting = asyncio.ensure_future(request.result(20))
        await asyncio.sleep(0)
        responses.add_batch(request.id, A, ONE, last=True)
        responses.set_expected(request.id, B, 1)
        responses.add_response(request.id, B, 2)
        assert await waiting == [ONE, 2]


async def test_result_of_a_request_to_no_nodes_is_empty() -> None:
    responses = PendingResponses()
    with responses.open([]) as request:
        assert await request.result(20) == []


async def test_timeout_error_holds_the_responses_and_names_the_missing_nodes() -> None:
    responses = PendingResponses()
    with (
        responses.open([A, B]) as request,
        pytest.raises(RequestTimeoutError, match="no response within 0 s from nodes b") as caught,
    ):
        responses.add_batch(request.id, A, ONE, last=True)
        await request.result(0)
    assert (caught.value.responses, caught.value.expected, caught.value.missing) == ([ONE], 2, [B])


async def test_timeout_error_counts_silent_clients() -> None:
    responses = PendingResponses()
    with (
        responses.open([A]) as request,
        pytest.raises(RequestTimeoutError, match="received 1 of 3 responses within 0 s") as caught,
    ):
        responses.set_expected(request.id, A, 3)
        responses.add_response(request.id, A, "x")
        await request.result(0)
    assert (caught.value.responses, caught.value.expected, caught.value.missing) == (["x"], 3, [])


async def test_death_of_a_node_fails_the_request_and_names_it() -> None:
    responses = PendingResponses()
    with responses.open([A, B]) as request:
        waiting = asyncio.ensure_future(request.result(20))
        await asyncio.sleep(0)
        responses.add_batch(request.id, A, ONE, last=True)
        responses.remove_node(B, died=True)
        with pytest.raises(RequestTimeoutError, match="nodes died before responding: b") as caught:
            await waiting
    assert (caught.value.responses, caught.value.missing) == ([ONE], [B])


async def test_goodbye_of_a_node_completes_the_request_without_an_error() -> None:
    responses = PendingResponses()
    with responses.open([A, B]) as request:
        responses.add_batch(request.id, A, ONE, last=True)
        responses.remove_node(B, died=False)
        assert await request.result(20) == [ONE]


async def test_leaving_the_bus_fails_every_request() -> None:
    responses = PendingResponses()
    with responses.open([A]) as request:
        waiting = asyncio.ensure_future(request.result(20))
        await asyncio.sleep(0)
        responses.fail_all()
        with pytest.raises(RequestTimeoutError) as caught:
            await waiting
    assert caught.value.missing == [A]


async def test_closed_request_leaves_nothing_behind() -> None:
    responses = PendingResponses()
    with responses.open([A]) as request:
        pass
    responses.add_batch(request.id, A, ONE, last=True)
    assert len(responses.requests) == 0
    assert responses.requests.ignored == {"late": 1}


async def test_rows_of_a_batch_are_counted_and_anything_but_a_list_is_rejected() -> None:
    responses = PendingResponses()
    with responses.open([A, B]) as request, pytest.raises(RequestTimeoutError) as caught:
        with pytest.raises((ValueError, TypeError)):
            responses.add_batch(request.id, B, pack_values("no list"), last=True)
        responses.add_batch(request.id, A, pack_values([1, 2, 3]), last=True)
        await request.result(0)
    assert (caught.value.expected, caught.value.missing) == (4, [B])


async def test_error_of_a_node_that_leaves_the_bus_names_no_time() -> None:
    responses = PendingResponses()
    with responses.open([A]) as request:
        waiting = asyncio.ensure_future(request.result(20))
        await asyncio.sleep(0)
        responses.fail_all()
        with pytest.raises(
            RequestTimeoutError, match="received 0 responses, then this node left the bus"
        ) as caught:
            await waiting
    assert caught.value.missing == [A]
