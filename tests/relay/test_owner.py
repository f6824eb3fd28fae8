"""Requests of other nodes are given to an ASGI application, here a small one, and its answers go back."""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

from structlog.testing import capture_logs

from tests.support.played_peer import OWNER as ASKER
from tests.support.played_peer import PlayedPeer
from tests.support.timing import wait_until
from zmqio.ids import NodeId
from zmqio.protocol.relay_messages import (
    HttpRequest,
    HttpResponse,
    StreamAccept,
    StreamClose,
    StreamData,
    StreamOpen,
)
from zmqio.relay.flow_control import WINDOW_BYTES
from zmqio.relay.owner import OwnerRelay, ResponseUndoLog

OTHER = NodeId("noth-is-a-node")


def get(number: int, query: str = "") -> HttpRequest:
    return HttpRequest(number, "GET", query, (), "", False, b"", True)


class Stand:
    """The serving of one node."""

    def __init__(self) -> None:
        self.peer = PlayedPeer()
        self.counters: Counter[str] = Counter()
        self.heard: list[str] = []
        self.undone: list[str] = []
        self.go_on = asyncio.Event()
        self.serving = OwnerRelay(self.peer.say, self._app, self.counters)

    async def until(self, condition: Callable[[], object]) -> None:
        await wait_until(condition, "it")

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        query = scope["query_string"].decode()
        if scope["type"] == "websocket":
            await self._echo(receive, send)
        elif query == "wait":
            await receive()
            self.heard.append((await receive())["type"])
        elif query == "fail":
            raise RuntimeError("a bug")
        else:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": query.encode()})
            scope["extensions"]["zmqio.relayed"].may_come_back(lambda: self.undone.append(query))

    async def _echo(self, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message["text"]})
        self.heard.append(f"{message['type']} {message['code']}")


async def test_answers_go_to_who_has_asked() -> None:
    stand = Stand()
    stand.serving.poll(ASKER, get(1, "one"))
    stand.serving.poll(OTHER, get(1, "two"))
    await stand.until(lambda: len(stand.peer.said) == 2)
    assert stand.peer.said == [
        (ASKER, HttpResponse(1, 200, (), b"one")),
        (OTHER, HttpResponse(1, 200, (), b"two")),
    ]
    assert (len(stand.serving), stand.counters) == (0, {"polls_served": 2})


async def test_cancel_ends_a_request_that_waits_and_takes_back_one_that_was_answered() -> None:
    stand = Stand()
    stand.serving.poll(ASKER, get(1, "wait"))
    stand.serving.poll(ASKER, get(2, "quick"))
    await stand.until(lambda: stand.peer.said)
    stand.serving.cancel(OTHER, 1)
    stand.serving.cancel(OTHER, 2)
    await asyncio.sleep(0)
    assert (stand.heard, stand.undone) == ([], [])
    for _ in range(2):
        stand.serving.cancel(ASKER, 1)
        stand.serving.cancel(ASKER, 2)
    await stand.until(lambda: len(stand.serving) == 0)
    assert (stand.heard, stand.undone) == (["http.disconnect"], ["quick"])
    assert stand.counters["polls_taken_back"] == 1
    assert len(stand.peer.said) == 1


async def test_request_that_fails_is_answered_counted_and_logged() -> None:
    stand = Stand()
    with capture_logs() as logs:
        stand.serving.poll(ASKER, get(1, "fail"))
        await stand.until(lambda: stand.peer.said and stand.counters["failures"])
    (answer,) = stand.peer.messages
    assert isinstance(answer, HttpResponse)
    assert answer.status == 500
    assert [line["event"] for line in logs] == ["relayed_request_failed"]


async def test_stream_lives_until_either_side_closes_it() -> None:
    stand = Stand()
    stand.serving.stream(ASKER, StreamOpen(5, "", (), "", False, WINDOW_BYTES))
    await stand.until(lambda: stand.peer.said)
    assert stand.serving.came(ASKER, StreamData(5, False, 0, ("hello",)))
    assert not stand.serving.came(OTHER, StreamData(5, False, 0, ("hello",)))
    assert not stand.serving.came(ASKER, StreamData(6, False, 0, ("hello",)))
    await stand.until(lambda: len(stand.peer.said) == 2)
    assert stand.peer.messages == [StreamAccept(5, WINDOW_BYTES), StreamData(5, True, 0, ("hello",))]
    stand.serving.came(ASKER, StreamClose(5, False, 1001, ""))
    await stand.until(lambda: len(stand.serving) == 0)
    assert stand.heard == ["websocket.disconnect 1001"]
    assert len(stand.peer.said) == 2  # a close is never answered
    assert stand.counters == {"streams_served": 1}


async def test_node_that_is_gone_ends_what_it_had_asked_for_and_nothing_else() -> None:
    stand = Stand()
    for sender in (ASKER, OTHER):
        stand.serving.poll(sender, get(1, "wait"))
        stand.serving.stream(sender, StreamOpen(2, "", (), "", False, WINDOW_BYTES))
    await stand.until(lambda: len(stand.peer.said) == 2)
    stand.serving.node_gone(ASKER, "silent")
    await stand.until(lambda: len(stand.serving) == 2)
    assert sorted(stand.heard) == ["http.disconnect", "websocket.disconnect 1011"]
    await stand.serving.close()
    assert len(stand.serving) == 0


def test_answer_is_taken_back_once() -> None:
    recall, undone = ResponseUndoLog(), []
    recall.keep("a", lambda: undone.append("a"), 10)
    recall.keep("b", lambda: undone.append("b"), 10)
    assert recall.recall("a")
    assert not recall.recall("a")
    assert not recall.recall("unknown")
    assert undone == ["a"]


def test_oldest_are_forgotten_beyond_either_bound() -> None:
    recall, undone = ResponseUndoLog(answers_kept=3, bytes_kept=100), []
    for number in range(5):
        recall.keep(number, lambda number=number: undone.append(number), 10)  # type: ignore[misc]
    assert len(recall) == 3
    assert [recall.recall(number) for number in range(5)] == [False, False, True, True, True]
    recall.keep("small", lambda: undone.append("small"), 10)
    recall.keep("large", lambda: undone.append("large"), 95)
    assert not recall.recall("small")
    assert recall.recall("large")
    recall.keep("too large", lambda: undone.append("too large"), 101)
    assert len(recall) == 0
    assert undone == [2, 3, 4, "large"]
