"""What an ASGI server would be, for a request that another node has passed on."""

import asyncio
import json

import pytest

from tests.support.timing import LIMIT_S
from zmqio.engine.long_poll import LongPollWaiter
from zmqio.exceptions import BusUnavailableError, MessageTooLargeError
from zmqio.protocol.relay_messages import HttpRequest, HttpResponse
from zmqio.relay.owner_poll import RelayedPoll, bus_limit


class Back:
    """Where answers go; the first `failures` are raised instead."""

    def __init__(self, *failures: Exception) -> None:
        self.said: list[HttpResponse] = []
        self._failures = list(failures)

    def say(self, message: HttpResponse) -> None:
        if self._failures:
            raise self._failures.pop(0)
        self.said.append(message)


def request(body: bytes = b"", *, whole: bool = True) -> HttpRequest:
    return HttpRequest(7, "POST", "", (), "", False, body, whole)


async def answer(poll: RelayedPoll, body: bytes = b"ok") -> None:
    await poll.send({"type": "http.response.start", "status": 200, "headers": [(b"a", b"b")]})
    await poll.send({"type": "http.response.body", "body": body, "more_body": False})


async def test_body_comes_first_then_nothing_until_the_client_has_gone() -> None:
    poll = RelayedPoll(request(b"4hello"), Back().say)
    assert await poll.receive() == {"type": "http.request", "body": b"4hello", "more_body": False}
    waiting = asyncio.create_task(poll.receive())
    await asyncio.sleep(0)
    assert not waiting.done()
    poll.cancel()
    poll.cancel()
    assert await asyncio.wait_for(waiting, LIMIT_S) == {"type": "http.disconnect"}


async def test_body_that_broke_off_is_followed_by_the_end() -> None:
    poll = RelayedPoll(request(b"4hel", whole=False), Back().say)
    assert await poll.receive() == {"type": "http.request", "body": b"4hel", "more_body": True}
    assert await poll.receive() == {"type": "http.disconnect"}


async def test_waiting_can_be_interrupted_and_taken_up_again() -> None:
    poll = RelayedPoll(request(), Back().say)
    for _ in range(2):
        waiter = LongPollWaiter()
        asyncio.get_running_loop().call_soon(waiter.release)
        assert await waiter.wait(poll.receive)
    poll.cancel()
    assert not await LongPollWaiter().wait(poll.receive)


async def test_answer_leaves_whole() -> None:
    back = Back()
    poll = RelayedPoll(request(), back.say)
    await answer(poll)
    assert back.said == [HttpResponse(7, 200, ("a", "b"), b"ok")]
    assert (poll.answered, poll.body_bytes) == (True, 2)
    poll.finish()
    assert len(back.said) == 1


async def test_answer_to_a_client_that_has_gone_is_an_error() -> None:
    back = Back()
    poll = RelayedPoll(request(), back.say)
    poll.cancel()
    with pytest.raises(ConnectionError):
        await answer(poll)
    poll.finish()
    assert (back.said, poll.answered) == ([], False)


async def test_answer_that_cannot_leave_is_an_error() -> None:
    poll = RelayedPoll(request(), Back(BusUnavailableError("no broker"), BusUnavailableError("no broker")).say)
    with pytest.raises(ConnectionError, match="no broker"):
        await answer(poll)
    assert not poll.answered
    poll.finish()


async def test_answer_that_is_too_large_for_the_bus_is_told_to_the_client() -> None:
    back = Back(MessageTooLargeError(900, 500))
    poll = RelayedPoll(request(), back.say)
    with pytest.raises(ConnectionError):
        await answer(poll, bytes(900))
    (refused,) = back.said
    assert refused.status == 413
    assert json.loads(refused.body)["message"] == (
        "Body over the limit of 500 bytes for one message between nodes (max_message_bytes)"
    )
    assert bus_limit(MessageTooLargeError(900, 500)).body == refused.body


async def test_request_that_the_engine_left_unanswered_has_failed() -> None:
    back = Back()
    RelayedPoll(request(), back.say).finish()
    assert [(said.request_id, said.status) for said in back.said] == [(7, 500)]
    RelayedPoll(request(whole=False), back.say).finish()
    assert len(back.said) == 1
