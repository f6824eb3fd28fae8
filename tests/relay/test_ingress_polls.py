"""Polling requests that are passed on; the owner is played by the test."""

import asyncio
import json
from collections import Counter
from itertools import count
from typing import Any

import pytest

from tests.support.asgi import FakeHttp
from tests.support.played_peer import OWNER, SID, PlayedPeer
from tests.support.timing import wait_until
from zmqio.engine.handshake import Refusal, read_request
from zmqio.engine.http_exchange import Exchange
from zmqio.exceptions import BusUnavailableError, EnvelopeError, MessageTooLargeError
from zmqio.ids import NodeId
from zmqio.protocol.relay_messages import HttpCancel, HttpRequest, HttpResponse
from zmqio.relay.ingress_polls import ForwardedPolls

CORS = [("access-control-allow-origin", "http://x")]


class Stand:
    """The polls of one node."""

    def __init__(self) -> None:
        self.peer = PlayedPeer()
        self.counters: Counter[str] = Counter()
        self.polls = ForwardedPolls(self.peer.say, count(1), 100, self.counters)

    def request(self, method: str, **options: Any) -> FakeHttp:
        return FakeHttp(self._serve, method, f"sid={SID}", **options)

    async def _serve(self, scope: Any, receive: Any, send: Any) -> None:
        exchange = Exchange(read_request(scope), receive, send, CORS)
        try:
            message = await self.polls.read(exchange)
            if isinstance(message, Refusal):
                refusal: Refusal | None = message
            else:
                refusal = await self.polls.forward(OWNER, SID, message, exchange)
        except ConnectionError:
            return  # as the engine does
        if refusal is not None:
            await exchange.refuse(refusal)

    async def asked(self, times: int = 1) -> None:
        await wait_until(lambda: len(self.peer.said) == times, "the question")


async def test_one_question_and_one_answer() -> None:
    stand = Stand()
    poll = stand.request("GET", headers={"origin": "http://x", "user-agent": "y"})
    await stand.asked()
    question = HttpRequest(1, "GET", f"sid={SID}", ("origin", "http://x"), "127.0.0.1", False, b"", True)
    assert stand.peer.said == [(OWNER, question)]
    stand.polls.answered(OWNER, HttpResponse(1, 201, ("x-made-by", "owner"), b"body"))
    answer = await poll
    assert (answer.status, answer.headers, answer.body) == (201, {"x-made-by": "owner"}, b"body")
    assert len(stand.peer.said) == 1
    assert (len(stand.polls), stand.counters) == (0, {"polls_forwarded": 1})


async def test_body_goes_with_the_question() -> None:
    stand = Stand()
    post = stand.request("POST", body=[b"4he", b"llo"], headers={"content-type": "text/plain"})
    await stand.asked()
    (question,) = stand.peer.messages
    assert isinstance(question, HttpRequest)
    assert (question.method, question.body, question.whole) == ("POST", b"4hello", True)
    assert question.headers == ("content-type", "text/plain")
    stand.polls.answered(OWNER, HttpResponse(1, 200, (), b"ok"))
    assert (await post).text == "ok"


async def test_only_the_owner_answers_and_only_once() -> None:
    stand = Stand()
    poll = stand.request("GET")
    await stand.asked()
    stand.polls.answered(NodeId("evil-is-a-node"), HttpResponse(1, 200, (), b"forged"))
    stand.polls.answered(OWNER, HttpResponse(99, 200, (), b"unknown"))
    await asyncio.sleep(0)
    assert not poll.task.done()
    stand.polls.answered(OWNER, HttpResponse(1, 200, (), b"real"))
    assert (await poll).text == "real"
    stand.polls.answered(OWNER, HttpResponse(1, 200, (), b"late"))


async def test_client_that_hangs_up_is_a_cancel() -> None:
    stand = Stand()
    poll = stand.request("GET")
    await stand.asked()
    poll.go_away()
    answer = await poll
    assert answer.status == 0
    assert stand.peer.messages[1:] == [HttpCancel(1)]
    assert (len(stand.polls), stand.counters["polls_cancelled"]) == (0, 1)


async def test_hang_up_that_crosses_the_answer_is_a_cancel_too() -> None:
    stand = Stand()
    poll = stand.request("GET")
    await stand.asked()
    poll.go_away()
    stand.polls.answered(OWNER, HttpResponse(1, 200, (), b"too late"))
    await poll
    assert stand.peer.messages[1:] == [HttpCancel(1)]


async def test_hang_up_in_the_same_turn_of_the_loop_as_the_answer_is_a_cancel_too() -> None:
    stand = Stand()
    poll = stand.request("GET")
    await stand.asked()
    stand.polls.answered(OWNER, HttpResponse(1, 200, (), b"too late"))
    poll.go_away()
    assert (await poll).status == 0
    assert stand.peer.messages[1:] == [HttpCancel(1)]


async def test_answer_that_cannot_be_written_is_a_cancel_too() -> None:
    async def fail(message: dict[str, Any]) -> None:
        raise OSError("the client has gone")

    stand = Stand()
    poll = stand.request("GET", on_send=fail)
    await stand.asked()
    stand.polls.answered(OWNER, HttpResponse(1, 200, (), b"lost"))
    with pytest.raises(OSError, match="gone"):
        await poll
    assert stand.peer.messages[1:] == [HttpCancel(1)]


async def test_request_that_is_cancelled_here_is_cancelled_there() -> None:
    stand = Stand()
    poll = stand.request("GET")
    await stand.asked()
    poll.task.cancel()
    await asyncio.gather(poll.task, return_exceptions=True)
    assert stand.peer.messages[1:] == [HttpCancel(1)]


async def test_body_that_breaks_off_is_told_to_the_owner() -> None:
    stand = Stand()
    post = stand.request("POST", body=b"4hel", breaks_off=True)
    await post
    question = stand.peer.messages[0]
    assert isinstance(question, HttpRequest)
    assert (question.body, question.whole) == (b"", False)


@pytest.mark.parametrize("size", [101, 100_000])
async def test_body_over_the_limit_is_refused_here(size: int) -> None:
    stand = Stand()
    refused = await stand.request("POST", body=bytes(size))
    assert refused.status == 413
    assert json.loads(refused.body)["message"] == "Request body over 100 bytes (max_payload_bytes)"
    assert stand.peer.said == []


@pytest.mark.parametrize(
    ("failure", "status", "text"),
    [
        (MessageTooLargeError(900, 500), 413, "Body over the limit of 500 bytes for one message between nodes"),
        (BusUnavailableError("no broker"), 503, "its node cannot be reached: no broker is connected"),
        (EnvelopeError("HttpRequest.query"), 400, "Bad request"),
    ],
)
async def test_what_cannot_be_asked_is_refused(failure: Exception, status: int, text: str) -> None:
    stand = Stand()
    stand.peer.failure = failure
    refused = await stand.request("GET")
    assert (refused.status, text in refused.text) == (status, True)
    assert refused.headers["access-control-allow-origin"] == "http://x"
    assert len(stand.polls) == 0


async def test_other_methods_are_refused_here() -> None:
    stand = Stand()
    assert (await stand.request("DELETE")).text == '{"code":3,"message":"Bad request"}'
    assert stand.peer.said == []


async def test_owner_that_is_gone_is_named() -> None:
    stand = Stand()
    poll = stand.request("GET")
    await stand.asked()
    stand.polls.node_gone(NodeId("noth-is-a-node"), "another one")
    stand.polls.node_gone(OWNER, "its node has gone (silent)")
    refused = await poll
    assert (refused.status, json.loads(refused.body)) == (
        400,
        {"code": 1, "message": "Session ID unknown", "node": "ther", "reason": "its node has gone (silent)"},
    )
    assert len(stand.peer.said) == 1


async def test_node_that_stops_sends_waiting_clients_away_and_finishes_posts() -> None:
    stand = Stand()
    poll, post = stand.request("GET"), stand.request("POST", body=b"4x")
    await stand.asked(2)
    stand.polls.leave()
    answer = await poll
    assert (answer.status, answer.text) == (200, "6")
    assert answer.headers["access-control-allow-origin"] == "http://x"
    assert stand.peer.messages[2:] == [HttpCancel(1)]
    assert not post.task.done()
    stand.polls.answered(OWNER, HttpResponse(2, 200, (), b"ok"))
    assert (await post).text == "ok"


async def test_answer_that_crosses_the_leaving_is_left_to_the_session() -> None:
    stand = Stand()
    poll = stand.request("GET")
    await stand.asked()
    stand.polls.leave()
    # The owner gets the cancellation behind it and takes it back: it must not reach the client as well.
    stand.polls.answered(OWNER, HttpResponse(1, 200, (), b"4x"))
    assert (await poll).text == "6"
    assert stand.peer.messages[1:] == [HttpCancel(1)]


async def test_answer_that_was_written_is_not_taken_back_when_the_server_ends_its_task() -> None:
    stand = Stand()
    written = asyncio.Event()

    async def on_send(event: dict[str, Any]) -> None:
        if event["type"] == "http.response.body":
            written.set()
            await asyncio.Event().wait()  # the connection takes no more

    poll = stand.request("GET", on_send=on_send)
    await stand.asked()
    stand.polls.answered(OWNER, HttpResponse(1, 200, (), b"4x"))
    await written.wait()
    poll.task.cancel()
    await asyncio.gather(poll.task, return_exceptions=True)
    assert stand.peer.messages[1:] == []
