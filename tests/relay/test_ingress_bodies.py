"""Bodies of POSTs for sessions of another node, which the test simulates."""

import asyncio
import json
from collections import Counter
from itertools import count
from typing import Any

import pytest

from tests.support.asgi import FakeHttp
from tests.support.fake_peer import OWNER, SID, FakePeer
from tests.support.timing import LIMIT_S, wait_until
from zmqio.config import EngineOptions
from zmqio.engine.handshake import BAD_REQUEST, UNKNOWN_SID, Refusal, read_request
from zmqio.engine.http_exchange import Exchange
from zmqio.exceptions import BusUnavailableError
from zmqio.ids import NodeId
from zmqio.protocol.relay_messages import HttpRequest, HttpResponse
from zmqio.relay import ingress_bodies
from zmqio.relay.ingress_bodies import IngressBodies


class Harness:
    """The bodies that one node reads."""

    def __init__(self, **options: Any) -> None:
        self.peer = FakePeer()
        self.counters: Counter[str] = Counter()
        self.bodies = IngressBodies(self.peer.send_to, count(1), EngineOptions(**options), self.counters)

    def post(self, **options: Any) -> FakeHttp:
        async def serve(scope: Any, receive: Any, send: Any) -> None:
            exchange = Exchange(read_request(scope), receive, send, ())
            outcome = await self.bodies.read(OWNER, SID, exchange)
            if isinstance(outcome, Refusal):
                await exchange.refuse(outcome)
            else:
                await exchange.answer_text(outcome)

        return FakeHttp(serve, "POST", f"sid={SID}", **options)

    async def sent(self) -> HttpRequest:
        """The only message to the owner."""
        await wait_until(lambda: self.peer.sent, "the message")
        (message,) = self.peer.messages
        assert isinstance(message, HttpRequest)
        return message

    def answer(self, message: HttpRequest, refusal: Refusal, owner: NodeId = OWNER) -> None:
        self.bodies.responded(owner, HttpResponse(message.request_id, 400, (), refusal.body))


async def test_body_that_is_complete_at_once_costs_no_message() -> None:
    harness = Harness()
    assert (await harness.post(body=[b"4a", b"b"])).text == "4ab"
    assert (harness.peer.sent, len(harness.bodies)) == ([], 0)


async def test_session_that_its_owner_does_not_have_is_refused_before_its_body_ends() -> None:
    harness = Harness()
    post = harness.post(endless=True)
    question = await harness.sent()
    assert (question.method, question.query, question.body, question.whole) == ("HEAD", f"sid={SID}", b"", True)
    unknown = Refusal(UNKNOWN_SID.code, UNKNOWN_SID.message, details=(("node", "ther"),))
    harness.answer(question, unknown, NodeId("evil-is-a-node"))
    await asyncio.sleep(0)
    assert len(harness.bodies) == 1
    harness.answer(question, unknown)
    answer = await post
    assert (answer.status, answer.headers["connection"]) == (400, "close")
    assert json.loads(answer.body)["message"] == "Session ID unknown"
    assert (len(harness.bodies), harness.counters) == (0, {})


async def test_body_for_a_session_that_its_owner_has_is_read_on() -> None:
    harness = Harness()
    post = harness.post(endless=True)
    harness.answer(await harness.sent(), BAD_REQUEST)
    await asyncio.sleep(0)
    assert len(harness.bodies) == 1
    post.task.cancel()
    await asyncio.gather(post.task, return_exceptions=True)
    assert len(harness.bodies) == 0


async def test_body_ends_when_its_session_has_ended_at_its_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ingress_bodies, "CHECK_AGAIN_S", 0.01)
    harness = Harness()
    post = harness.post(endless=True)
    await wait_until(lambda: harness.peer.sent, "the first question")
    first = harness.peer.messages[0]  # there may be others already
    assert isinstance(first, HttpRequest)
    harness.answer(first, BAD_REQUEST)
    await wait_until(lambda: len(harness.peer.sent) >= 2, "the second question")
    unknown = Refusal(UNKNOWN_SID.code, UNKNOWN_SID.message, details=(("node", "ther"),))
    for question in harness.peer.messages:
        assert isinstance(question, HttpRequest)
        harness.answer(question, unknown)
    assert (await post).status == 400
    assert len(harness.bodies) == 0


@pytest.fixture
def no_questions(monkeypatch: pytest.MonkeyPatch) -> None:
    """The owner is not asked whether it has the session, however slow this machine is."""
    monkeypatch.setattr(ingress_bodies, "CHECK_AFTER_S", 10 * LIMIT_S)


@pytest.mark.usefixtures("no_questions")
async def test_body_that_takes_too_long_is_answered_408_and_ends_the_session() -> None:
    harness = Harness(body_timeout_s=0.01)
    answer = await harness.post(endless=True)
    assert (answer.status, answer.headers["connection"]) == (408, "close")
    message = await harness.sent()
    assert (message.method, message.whole) == ("POST", False)
    assert harness.counters == {"bodies_timed_out": 1}


@pytest.mark.usefixtures("no_questions")
async def test_second_body_of_a_session_at_the_same_time_ends_both_and_the_session() -> None:
    harness = Harness()
    first = harness.post(endless=True)
    await wait_until(lambda: len(harness.bodies) == 1, "the first body")
    second = harness.post(endless=True)
    assert [(await post).status for post in (first, second)] == [400, 400]
    message = await harness.sent()
    assert (message.method, message.whole) == ("POST", False)
    assert len(harness.bodies) == 0


async def test_owner_that_becomes_unreachable_ends_the_reading() -> None:
    harness = Harness()
    post = harness.post(endless=True)
    await wait_until(lambda: len(harness.bodies) == 1, "the body")
    harness.bodies.node_unreachable(NodeId("noth-is-a-node"), "another one")
    harness.bodies.node_unreachable(OWNER, "owner node is unreachable (silent)")
    assert json.loads((await post).body)["reason"] == "owner node is unreachable (silent)"


async def test_failed_owner_check_leaves_the_body_to_its_limits() -> None:
    harness = Harness(body_timeout_s=0.3)
    harness.peer.failure = BusUnavailableError("no broker")
    assert (await harness.post(endless=True)).status == 408
