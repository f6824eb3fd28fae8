"""Requests forwarded by other nodes are served by an ASGI application, and its responses are sent back."""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.support.fake_peer import OWNER as INGRESS
from tests.support.fake_peer import FakePeer
from tests.support.timing import wait_until
from zmqio.engine.http_exchange import AnswerFate
from zmqio.ids import NodeId
from zmqio.protocol.relay_messages import (
    HttpCancel,
    HttpDelivered,
    HttpRequest,
    HttpResponse,
    StreamAccept,
    StreamClose,
    StreamData,
    StreamOpen,
)
from zmqio.relay.flow_control import WINDOW_BYTES
from zmqio.relay.owner import OwnerRelay, SentAnswers

OTHER = NodeId("noth-is-a-node")


def get(number: int, query: str = "") -> HttpRequest:
    return HttpRequest(number, "GET", query, (), "", False, b"", True)


class Kept:
    """An answer that records its fate."""

    def __init__(self, name: str, seen: list[str]) -> None:
        self._name = name
        self._seen = seen

    def settle(self, fate: AnswerFate) -> None:
        self._seen.append(f"{self._name} {fate.name}")

    def forget_packets(self) -> None:
        self._seen.append(f"{self._name} freed")


class Harness:
    """The owner's half of the relay of one node."""

    def __init__(self) -> None:
        self.peer = FakePeer()
        self.counters: Counter[str] = Counter()
        self.received: list[str] = []
        self.undone: list[str] = []
        self.go_on = asyncio.Event()
        self.owner = OwnerRelay(self.peer.send_to, self._app, self.counters)

    async def until(self, condition: Callable[[], object]) -> None:
        await wait_until(condition, "it")

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        query = scope["query_string"].decode()
        if scope["type"] == "websocket":
            await self._echo(receive, send)
        elif query == "wait":
            await receive()
            gone = (await receive())["type"]
            self.received.append(f"{gone} {scope['extensions']['zmqio.relayed'].client_gone}")
        elif query == "fail":
            raise RuntimeError("a bug")
        else:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": query.encode()})
            scope["extensions"]["zmqio.relayed"].on_settled(Kept(query, self.undone))

    async def _echo(self, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message["text"]})
        self.received.append(f"{message['type']} {message['code']}")


async def test_response_goes_to_the_ingress_of_its_request() -> None:
    harness = Harness()
    harness.owner.serve_poll(INGRESS, get(1, "one"))
    harness.owner.serve_poll(OTHER, get(1, "two"))
    await harness.until(lambda: len(harness.peer.sent) == 2)
    assert harness.peer.sent == [
        (INGRESS, HttpResponse(1, 200, (), b"one")),
        (OTHER, HttpResponse(1, 200, (), b"two")),
    ]
    assert (len(harness.owner), harness.counters) == (0, {"polls_served": 2})


@pytest.mark.parametrize("client_gone", [True, False])
async def test_cancel_ends_a_waiting_request_and_takes_back_the_response_of_another(client_gone: bool) -> None:
    harness = Harness()
    harness.owner.serve_poll(INGRESS, get(1, "wait"))
    harness.owner.serve_poll(INGRESS, get(2, "quick"))
    await harness.until(lambda: harness.peer.sent)
    harness.owner.cancel_poll(OTHER, HttpCancel(1, client_gone))
    harness.owner.cancel_poll(OTHER, HttpCancel(2, client_gone))
    await asyncio.sleep(0)
    assert (harness.received, harness.undone) == ([], [])
    for _ in range(2):
        harness.owner.cancel_poll(INGRESS, HttpCancel(1, client_gone))
        harness.owner.cancel_poll(INGRESS, HttpCancel(2, client_gone))
    await harness.until(lambda: len(harness.owner) == 0)
    assert (harness.received, harness.undone) == (
        [f"http.disconnect {client_gone}"],
        ["quick CLIENT_GONE" if client_gone else "quick RETURNED"],
    )
    assert harness.counters["responses_returned"] == (0 if client_gone else 1)
    assert len(harness.peer.sent) == 1


async def test_failing_request_gets_status_500_and_is_counted_and_logged() -> None:
    harness = Harness()
    with capture_logs() as logs:
        harness.owner.serve_poll(INGRESS, get(1, "fail"))
        await harness.until(lambda: harness.peer.sent and harness.counters["requests_failed"])
    (answer,) = harness.peer.messages
    assert isinstance(answer, HttpResponse)
    assert answer.status == 500
    assert [line["event"] for line in logs] == ["relayed_request_failed"]


async def test_websocket_is_served_until_it_is_closed() -> None:
    harness = Harness()
    harness.owner.serve_websocket(INGRESS, StreamOpen(5, "", (), "", False, WINDOW_BYTES))
    await harness.until(lambda: harness.peer.sent)
    assert harness.owner.received(INGRESS, StreamData(5, False, 0, ("hello",)))
    assert not harness.owner.received(OTHER, StreamData(5, False, 0, ("hello",)))
    assert not harness.owner.received(INGRESS, StreamData(6, False, 0, ("hello",)))
    await harness.until(lambda: len(harness.peer.sent) == 2)
    assert harness.peer.messages == [StreamAccept(5, WINDOW_BYTES), StreamData(5, True, 0, ("hello",))]
    harness.owner.received(INGRESS, StreamClose(5, False, 1001, ""))
    await harness.until(lambda: len(harness.owner) == 0)
    assert harness.received == ["websocket.disconnect 1001"]
    assert len(harness.peer.sent) == 2  # a close is never answered
    assert harness.counters == {"websockets_served": 1}


async def test_unreachable_node_ends_its_own_requests_only() -> None:
    harness = Harness()
    for sender in (INGRESS, OTHER):
        harness.owner.serve_poll(sender, get(1, "wait"))
        harness.owner.serve_websocket(sender, StreamOpen(2, "", (), "", False, WINDOW_BYTES))
    await harness.until(lambda: len(harness.peer.sent) == 2)
    harness.owner.node_unreachable(INGRESS, "silent")
    await harness.until(lambda: len(harness.owner) == 2)
    assert sorted(harness.received) == ["http.disconnect False", "websocket.disconnect 1011"]
    await harness.owner.close()
    assert len(harness.owner) == 0


async def test_delivered_response_is_settled_once() -> None:
    harness = Harness()
    harness.owner.serve_poll(INGRESS, get(1, "quick"))
    await harness.until(lambda: harness.peer.sent)
    harness.owner.delivered(OTHER, HttpDelivered(1))
    assert harness.undone == []
    for _ in range(2):
        harness.owner.delivered(INGRESS, HttpDelivered(1))
        harness.owner.cancel_poll(INGRESS, HttpCancel(1, True))
    assert harness.undone == ["quick DELIVERED"]


def test_answers_of_a_node_that_died_are_settled() -> None:
    answers, seen = SentAnswers(), []
    for node_id in (INGRESS, OTHER):
        answers.add((node_id, 1), Kept(node_id[:4], seen), 10)
    answers.settle_all_of(INGRESS)
    assert (seen, len(answers)) == ([f"{INGRESS[:4]} CARRIER_LOST"], 1)


def test_packets_of_the_oldest_answers_are_freed_beyond_the_limit() -> None:
    answers, seen = SentAnswers(bytes_kept=100), []
    for number, size in enumerate((60, 30, 30, 101)):
        answers.add((INGRESS, number), Kept(str(number), seen), size)
    assert seen == ["0 freed", "1 freed", "2 freed", "3 freed"]
    assert all(answers.settle((INGRESS, number), AnswerFate.DELIVERED) for number in range(4))
    answers.add((INGRESS, 4), Kept("4", seen), 100)
    assert "4 freed" not in seen
