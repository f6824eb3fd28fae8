import asyncio

import pytest

from zmqio.cluster.requests.waiting import PendingResponses
from zmqio.exceptions import RequestTimeoutError
from zmqio.ids import NodeId
from zmqio.protocol.values import pack_values

A, B = NodeId("a"), NodeId("b")
ONE = pack_values([1])


async def test_answers_end_the_wait() -> None:
    asker = PendingResponses()
    with asker.ask([A, B]) as question:
        waiting = asyncio.ensure_future(question.answers(20))
        await asyncio.sleep(0)
        asker.packed_part(question.id, A, ONE, last=True)
        asker.expect(question.id, B, 1)
        asker.answer(question.id, B, 2)
        assert await waiting == [ONE, 2]


async def test_question_to_nobody_is_answered_at_once() -> None:
    asker = PendingResponses()
    with asker.ask([]) as question:
        assert await question.answers(20) == []


async def test_silence_ends_with_what_came_and_who_is_missing() -> None:
    asker = PendingResponses()
    with (
        asker.ask([A, B]) as question,
        pytest.raises(RequestTimeoutError, match="no answer within 0 s from nodes b") as caught,
    ):
        asker.packed_part(question.id, A, ONE, last=True)
        await question.answers(0)
    assert (caught.value.responses, caught.value.expected, caught.value.missing) == ([ONE], 2, [B])


async def test_silent_clients_are_counted() -> None:
    asker = PendingResponses()
    with (
        asker.ask([A]) as question,
        pytest.raises(RequestTimeoutError, match="1 of 3 answers came within 0 s") as caught,
    ):
        asker.expect(question.id, A, 3)
        asker.answer(question.id, A, "x")
        await question.answers(0)
    assert (caught.value.responses, caught.value.expected, caught.value.missing) == (["x"], 3, [])


async def test_death_ends_the_wait_and_names_the_dead() -> None:
    asker = PendingResponses()
    with asker.ask([A, B]) as question:
        waiting = asyncio.ensure_future(question.answers(20))
        await asyncio.sleep(0)
        asker.packed_part(question.id, A, ONE, last=True)
        asker.node_gone(B, died=True)
        with pytest.raises(RequestTimeoutError, match="nodes went away before they had answered: b") as caught:
            await waiting
    assert (caught.value.responses, caught.value.missing) == ([ONE], [B])


async def test_goodbye_ends_the_wait_without_an_error() -> None:
    asker = PendingResponses()
    with asker.ask([A, B]) as question:
        asker.packed_part(question.id, A, ONE, last=True)
        asker.node_gone(B, died=False)
        assert await question.answers(20) == [ONE]


async def test_leaving_the_bus_ends_every_wait() -> None:
    asker = PendingResponses()
    with asker.ask([A]) as question:
        waiting = asyncio.ensure_future(question.answers(20))
        await asyncio.sleep(0)
        asker.give_up()
        with pytest.raises(RequestTimeoutError) as caught:
            await waiting
    assert caught.value.missing == [A]


async def test_nothing_is_kept_of_a_question_that_is_over() -> None:
    asker = PendingResponses()
    with asker.ask([A]) as question:
        pass
    asker.packed_part(question.id, A, ONE, last=True)
    assert len(asker.requests) == 0
    assert asker.requests.ignored == {"late": 1}


async def test_values_of_a_packed_part_are_counted_and_what_is_no_list_is_refused() -> None:
    asker = PendingResponses()
    with asker.ask([A, B]) as question, pytest.raises(RequestTimeoutError) as caught:
        with pytest.raises((ValueError, TypeError)):
            asker.packed_part(question.id, B, pack_values("no list"), last=True)
        asker.packed_part(question.id, A, pack_values([1, 2, 3]), last=True)
        await question.answers(0)
    assert (caught.value.expected, caught.value.missing) == (4, [B])
