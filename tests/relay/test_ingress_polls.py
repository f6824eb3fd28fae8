"""Forwarded polling requests of a simulated owner."""

import asyncio
import json
from collections import Counter
from itertools import count
from typing import Any

import pytest

from tests.support.asgi import FakeHttp
from tests.support.fake_peer import OWNER, SID, FakePeer
from tests.support.timing import wait_until
from zmqio.config import EngineOptions
from zmqio.engine.handshake import Refusal, read_request
from zmqio.engine.http_exchange import Exchange
from zmqio.exceptions import BusUnavailableError, EnvelopeError, MessageTooLargeError
from zmqio.ids import NodeId
from zmqio.protocol.relay_messages import HttpCancel, HttpDelivered, HttpRequest, HttpResponse
from zmqio.relay.ingress_polls import IngressPolls

CORS = [("access-control-allow-origin", "http://x")]


class Harness:
    """The forwarded polls of one node."""

    def __init__(self) -> None:
        self.peer = FakePeer()
        self.counters: Counter[str] = Counter()
        limits = EngineOptions(max_payload_bytes=100)
        self.polls = IngressPolls(self.peer.send_to, count(1), limits, self.counters)

    def request(self, method: str, **options: Any) -> FakeHttp:
        return FakeHttp(self._serve, method, f"sid={SID}", **options)

    async def _serve(self, scope: Any, receive: Any, send: Any) -> None:
        exchange = Exchange(read_request(scope), receive, send, CORS)
        try:
            message = await self.polls.read(OWNER, SID, exchange)
            if isinstance(message, Refusal):
                refusal: Refusal | None = message
            else:
                refusal = await self.polls.forward(OWNER, SID, message, exchange)
        except ConnectionError:
            return  # as the engine does
        if refusal is not None:
            await exchange.refuse(refusal)

    async def forwarded(self, times: int = 1) -> None:
        await wait_until(lambda: len(self.peer.sent) == times, "the request")


async def test_poll_costs_one_request_and_one_response() -> None:
    harness = Harness()
    poll = harness.request("GET", headers={"origin": "http://x", "user-agent": "y"})
    await harness.forwarded()
    request = HttpRequest(1, "GET", f"sid={SID}", ("origin", "http://x"), "127.0.0.1", False, b"", True)
    assert harness.peer.sent == [(OWNER, request)]
    harness.polls.responded(OWNER, HttpResponse(1, 201, ("x-made-by", "owner"), b"body"))
    answer = await poll
    assert (answer.status, answer.headers, answer.body) == (201, {"x-made-by": "owner"}, b"body")
    assert len(harness.peer.sent) == 1
    assert (len(harness.polls), harness.counters) == (0, {"polls_forwarded": 1})


async def test_response_that_was_written_is_confirmed() -> None:
    harness = Harness()
    poll = harness.request("GET")
    await harness.forwarded()
    harness.polls.responded(OWNER, HttpResponse(1, 200, (), b"4x"))
    assert (await poll).text == "4x"
    assert harness.peer.messages[1:] == [HttpDelivered(1)]


async def test_request_carries_the_body() -> None:
    harness = Harness()
    post = harness.request("POST", body=[b"4he", b"llo"], headers={"content-type": "text/plain"})
    await harness.forwarded()
    (request,) = harness.peer.messages
    assert isinstance(request, HttpRequest)
    assert (request.method, request.body, request.whole) == ("POST", b"4hello", True)
    assert request.headers == ("content-type", "text/plain")
    harness.polls.responded(OWNER, HttpResponse(1, 200, (), b"ok"))
    assert (await post).text == "ok"


async def test_only_the_first_response_of_the_owner_counts() -> None:
    harness = Harness()
    poll = harness.request("GET")
    await harness.forwarded()
    harness.polls.responded(NodeId("evil-is-a-node"), HttpResponse(1, 200, (), b"forged"))
    harness.polls.responded(OWNER, HttpResponse(99, 200, (), b"unknown"))
    await asyncio.sleep(0)
    assert not poll.task.done()
    harness.polls.responded(OWNER, HttpResponse(1, 200, (), b"real"))
    assert (await poll).text == "real"
    harness.polls.responded(OWNER, HttpResponse(1, 200, (), b"late"))


async def test_disconnect_of_the_client_cancels_the_request() -> None:
    harness = Harness()
    poll = harness.request("GET")
    await harness.forwarded()
    poll.go_away()
    answer = await poll
    assert answer.status == 0
    assert harness.peer.messages[1:] == [HttpCancel(1, True)]
    assert (len(harness.polls), harness.counters["polls_cancelled"]) == (0, 1)


async def test_disconnect_just_before_the_response_cancels_the_request() -> None:
    harness = Harness()
    poll = harness.request("GET")
    await harness.forwarded()
    poll.go_away()
    harness.polls.responded(OWNER, HttpResponse(1, 200, (), b"too late"))
    await poll
    assert harness.peer.messages[1:] == [HttpCancel(1, True)]


async def test_disconnect_in_the_same_loop_iteration_as_the_response_cancels_the_request() -> None:
    harness = Harness()
    poll = harness.request("GET")
    await harness.forwarded()
    harness.polls.responded(OWNER, HttpResponse(1, 200, (), b"too late"))
    poll.go_away()
    assert (await poll).status == 0
    assert harness.peer.messages[1:] == [HttpCancel(1, True)]


async def test_response_that_cannot_be_written_cancels_the_request() -> None:
    async def fail(message: dict[str, Any]) -> None:
        raise OSError("the client has disconnected")

    harness = Harness()
    poll = harness.request("GET", on_send=fail)
    await harness.forwarded()
    harness.polls.responded(OWNER, HttpResponse(1, 200, (), b"lost"))
    with pytest.raises(OSError, match="disconnected"):
        await poll
    assert harness.peer.messages[1:] == [HttpCancel(1, True)]


async def test_cancelled_task_cancels_the_request() -> None:
    harness = Harness()
    poll = harness.request("GET")
    await harness.forwarded()
    poll.task.cancel()
    await asyncio.gather(poll.task, return_exceptions=True)
    assert harness.peer.messages[1:] == [HttpCancel(1, False)]


async def test_incomplete_body_is_reported_to_the_owner() -> None:
    harness = Harness()
    post = harness.request("POST", body=b"4hel", breaks_off=True)
    await post
    request = harness.peer.messages[0]
    assert isinstance(request, HttpRequest)
    assert (request.body, request.whole) == (b"", False)


@pytest.mark.parametrize("size", [101, 100_000])
async def test_body_over_the_limit_is_refused_by_the_ingress(size: int) -> None:
    harness = Harness()
    refused = await harness.request("POST", body=bytes(size))
    assert refused.status == 413
    assert json.loads(refused.body)["message"] == "Request body over 100 bytes (max_payload_bytes)"
    assert harness.peer.sent == []


@pytest.mark.parametrize(
    ("failure", "status", "text"),
    [
        (MessageTooLargeError(900, 500), 413, "Body over the limit of 500 bytes for one message between nodes"),
        (BusUnavailableError("no broker"), 503, "node of the session cannot be reached: no broker is connected"),
        (EnvelopeError("HttpRequest.query"), 400, "Bad request"),
    ],
)
async def test_request_that_cannot_be_sent_is_refused(failure: Exception, status: int, text: str) -> None:
    harness = Harness()
    harness.peer.failure = failure
    refused = await harness.request("GET")
    assert (refused.status, text in refused.text) == (status, True)
    assert refused.headers["access-control-allow-origin"] == "http://x"
    assert len(harness.polls) == 0


async def test_other_methods_are_refused_by_the_ingress() -> None:
    harness = Harness()
    assert (await harness.request("DELETE")).text == '{"code":3,"message":"Bad request"}'
    assert harness.peer.sent == []


async def test_unreachable_owner_is_named_in_the_refusal() -> None:
    harness = Harness()
    poll = harness.request("GET")
    await harness.forwarded()
    harness.polls.node_unreachable(NodeId("noth-is-a-node"), "another one")
    harness.polls.node_unreachable(OWNER, "owner node is unreachable (silent)")
    refused = await poll
    assert (refused.status, json.loads(refused.body)) == (
        400,
        {
            "code": 1,
            "message": "Session ID unknown",
            "node": "ther",
            "reason": "owner node is unreachable (silent)",
        },
    )
    assert len(harness.peer.sent) == 1


async def test_stop_sends_a_noop_to_waiting_polls_and_finishes_posts() -> None:
    harness = Harness()
    poll, post = harness.request("GET"), harness.request("POST", body=b"4x")
    await harness.forwarded(2)
    harness.polls.stop()
    answer = await poll
    assert (answer.status, answer.text) == (200, "6")
    assert answer.headers["access-control-allow-origin"] == "http://x"
    assert harness.peer.messages[2:] == [HttpCancel(1, False)]
    assert not post.task.done()
    harness.polls.responded(OWNER, HttpResponse(2, 200, (), b"ok"))
    assert (await post).text == "ok"


async def test_response_after_the_stop_is_left_to_the_session() -> None:
    harness = Harness()
    poll = harness.request("GET")
    await harness.forwarded()
    harness.polls.stop()
    # The cancel makes the owner return the response to the session, so it must not reach the client as well.
    harness.polls.responded(OWNER, HttpResponse(1, 200, (), b"4x"))
    assert (await poll).text == "6"
    assert harness.peer.messages[1:] == [HttpCancel(1, False)]


async def test_written_response_is_not_cancelled_when_the_server_cancels_its_task() -> None:
    harness = Harness()
    written = asyncio.Event()

    async def on_send(event: dict[str, Any]) -> None:
        if event["type"] == "http.response.body":
            written.set()
            await asyncio.Event().wait()  # the connection takes no more

    poll = harness.request("GET", on_send=on_send)
    await harness.forwarded()
    harness.polls.responded(OWNER, HttpResponse(1, 200, (), b"4x"))
    await written.wait()
    poll.task.cancel()
    await asyncio.gather(poll.task, return_exceptions=True)
    assert harness.peer.messages[1:] == [HttpDelivered(1)]
