"""A relayed polling request at the owner of its session."""

import asyncio
import json

import pytest

from tests.support.timing import LIMIT_S
from zmqio.engine.long_poll import LongPollWaiter
from zmqio.exceptions import BusUnavailableError, MessageTooLargeError
from zmqio.ids import NodeId
from zmqio.protocol.relay_messages import HttpRequest, HttpResponse
from zmqio.relay.owner_poll import OwnerPoll, too_large_for_bus

INGRESS = NodeId("here-is-a-node")


class Back:
    """Records the responses; the first `failures` are raised instead."""

    def __init__(self, *failures: Exception) -> None:
        self.sent: list[HttpResponse] = []
        self._failures = list(failures)

    def send(self, message: HttpResponse) -> None:
        if self._failures:
            raise self._failures.pop(0)
        self.sent.append(message)


def keep(answer: object, size_bytes: int) -> None:
    raise AssertionError("no answer has packets here")


def request(body: bytes = b"", *, whole: bool = True) -> HttpRequest:
    return HttpRequest(7, "POST", "", (), "", False, body, whole)


async def respond(poll: OwnerPoll, body: bytes = b"ok") -> None:
    await poll.send({"type": "http.response.start", "status": 200, "headers": [(b"a", b"b")]})
    await poll.send({"type": "http.response.body", "body": body, "more_body": False})


async def test_receive_gives_the_body_and_then_waits_for_the_disconnect() -> None:
    poll = OwnerPoll(INGRESS, request(b"4hello"), Back().send, keep)
    assert await poll.receive() == {"type": "http.request", "body": b"4hello", "more_body": False}
    waiting = asyncio.create_task(poll.receive())
    await asyncio.sleep(0)
    assert not waiting.done()
    poll.cancel(client_gone=False)
    poll.cancel(client_gone=True)  # the first one counts
    assert await asyncio.wait_for(waiting, LIMIT_S) == {"type": "http.disconnect"}
    assert not poll.client_gone


async def test_incomplete_body_is_followed_by_a_disconnect() -> None:
    poll = OwnerPoll(INGRESS, request(b"4hel", whole=False), Back().send, keep)
    assert await poll.receive() == {"type": "http.request", "body": b"4hel", "more_body": True}
    assert await poll.receive() == {"type": "http.disconnect"}


async def test_interrupted_wait_for_the_disconnect_can_be_resumed() -> None:
    poll = OwnerPoll(INGRESS, request(), Back().send, keep)
    for _ in range(2):
        waiter = LongPollWaiter()
        asyncio.get_running_loop().call_soon(waiter.release)
        assert await waiter.wait(poll.receive)
    poll.cancel(client_gone=True)
    assert not await LongPollWaiter().wait(poll.receive)


async def test_response_is_sent_as_one_message() -> None:
    back = Back()
    poll = OwnerPoll(INGRESS, request(), back.send, keep)
    await respond(poll)
    assert back.sent == [HttpResponse(7, 200, ("a", "b"), b"ok")]
    assert poll.responded
    poll.finish()
    assert len(back.sent) == 1


async def test_response_after_the_disconnect_raises() -> None:
    back = Back()
    poll = OwnerPoll(INGRESS, request(), back.send, keep)
    poll.cancel(client_gone=True)
    with pytest.raises(ConnectionError):
        await respond(poll)
    poll.finish()
    assert (back.sent, poll.responded) == ([], False)


async def test_response_that_cannot_be_sent_raises() -> None:
    poll = OwnerPoll(
        INGRESS, request(), Back(BusUnavailableError("no broker"), BusUnavailableError("no broker")).send, keep
    )
    with pytest.raises(ConnectionError, match="no broker"):
        await respond(poll)
    assert not poll.responded
    poll.finish()


async def test_response_over_the_bus_limit_becomes_status_413() -> None:
    back = Back(MessageTooLargeError(900, 500))
    poll = OwnerPoll(INGRESS, request(), back.send, keep)
    with pytest.raises(ConnectionError):
        await respond(poll, bytes(900))
    (refused,) = back.sent
    assert refused.status == 413
    assert json.loads(refused.body)["message"] == (
        "Body over the limit of 500 bytes for one message between nodes (max_message_bytes)"
    )
    assert too_large_for_bus(MessageTooLargeError(900, 500)).body == refused.body


async def test_request_left_without_a_response_gets_status_500() -> None:
    back = Back()
    OwnerPoll(INGRESS, request(), back.send, keep).finish()
    assert [(sent.request_id, sent.status) for sent in back.sent] == [(7, 500)]
    OwnerPoll(INGRESS, request(whole=False), back.send, keep).finish()
    assert len(back.sent) == 1
