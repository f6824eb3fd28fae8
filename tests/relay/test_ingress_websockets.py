"""WebSockets that are passed on; the owner is played by the test."""

import asyncio
import json
from collections import Counter
from itertools import count
from typing import Any

import pytest

from tests.support.asgi import FakeWebSocket
from tests.support.played_peer import OWNER, SID, PlayedPeer
from tests.support.timing import wait_until
from zmqio.engine import websocket
from zmqio.engine.handshake import read_request
from zmqio.exceptions import BusUnavailableError, EnvelopeError
from zmqio.ids import NodeId
from zmqio.protocol.relay_messages import (
    RelayMessage,
    StreamAccept,
    StreamClose,
    StreamCredit,
    StreamData,
    StreamOpen,
    StreamRefuse,
)
from zmqio.relay.flow_control import WINDOW_BYTES
from zmqio.relay.ingress_websockets import ForwardedWebSockets


class Wire:
    """A `FastWire` that only notes that it was dropped."""

    def __init__(self) -> None:
        self.aborted = asyncio.Event()

    def abort(self) -> None:
        self.aborted.set()


class Stand:
    """The streams of one node."""

    def __init__(self, answer_limit_s: float = 1_000.0) -> None:
        self.peer = PlayedPeer()
        self.counters: Counter[str] = Counter()
        self.streams = ForwardedWebSockets(self.peer.say, count(1), answer_limit_s, self.counters)

    def open(self, **options: Any) -> FakeWebSocket:
        return FakeWebSocket(self._serve, f"sid={SID}", origin="http://x", **options)

    async def accepted(self, **options: Any) -> FakeWebSocket:
        socket = self.open(**options)
        await wait_until(lambda: self.peer.said, "the opening")
        assert self.streams.answered(OWNER, StreamAccept(1, 1_000))
        await wait_until(lambda: socket.accepted, "the acceptance")
        return socket

    def came(self, message: StreamData | StreamClose | StreamCredit) -> None:
        assert self.streams.came(OWNER, message)

    async def said(self, message: RelayMessage) -> None:
        await wait_until(lambda: message in self.peer.messages, f"{message} in {self.peer.messages}")

    async def _serve(self, scope: Any, receive: Any, send: Any) -> None:
        refusal = await self.streams.forward(OWNER, SID, read_request(scope), scope, receive, send)
        if refusal is not None:
            await websocket.refuse(refusal, scope, receive, send)


async def test_owner_is_asked_before_the_client_is_accepted() -> None:
    stand = Stand()
    socket = stand.open()
    await wait_until(lambda: stand.peer.said, "the opening")
    assert stand.peer.said == [
        (OWNER, StreamOpen(1, f"sid={SID}", ("origin", "http://x"), "127.0.0.1", False, WINDOW_BYTES))
    ]
    assert not socket.accepted
    assert not stand.streams.answered(NodeId("evil-is-a-node"), StreamAccept(1, 1_000))
    assert not stand.streams.answered(OWNER, StreamAccept(2, 1_000))
    assert stand.streams.answered(OWNER, StreamAccept(1, 1_000))
    await wait_until(lambda: socket.accepted, "the acceptance")
    assert (len(stand.streams), stand.counters) == (1, {"streams_forwarded": 1})
    socket.close()
    await socket.ended()


async def test_messages_are_carried_both_ways() -> None:
    stand = Stand()
    socket = await stand.accepted()
    socket.send("2probe")
    await stand.said(StreamData(1, False, 0, ("2probe",)))
    stand.came(StreamData(1, True, 0, ("3probe", b"bytes")))
    assert [await socket.receive(), await socket.receive()] == ["3probe", b"bytes"]
    socket.close()
    await socket.ended()
    assert stand.peer.messages[-1] == StreamClose(1, False, 1005, "")
    assert len(stand.streams) == 0
    assert not stand.streams.came(OWNER, StreamData(1, True, 1, ("late",)))


async def test_refusal_of_the_owner_is_passed_on() -> None:
    stand = Stand()
    socket = stand.open()
    await wait_until(lambda: stand.peer.said, "the opening")
    stand.streams.answered(OWNER, StreamRefuse(1, 400, b'{"code":3}'))
    await socket.ended()
    assert (socket.accepted, socket.refusal.status, socket.refusal.body) == (False, 400, b'{"code":3}')
    assert len(stand.peer.said) == 1


@pytest.mark.parametrize(
    ("failure", "status", "text"),
    [
        (BusUnavailableError("no broker"), 503, "its node cannot be reached: no broker is connected"),
        (EnvelopeError("StreamOpen.query"), 400, "Bad request"),
    ],
)
async def test_what_cannot_be_asked_is_refused(failure: Exception, status: int, text: str) -> None:
    stand = Stand()
    stand.peer.failure = failure
    socket = stand.open()
    await socket.ended()
    assert (socket.accepted, socket.refusal.status, text in socket.refusal.text) == (False, status, True)


async def test_owner_that_does_not_answer_is_told_of() -> None:
    stand = Stand(answer_limit_s=0.001)
    socket = stand.open()
    await socket.ended()
    assert socket.refusal.status == 504
    assert json.loads(socket.refusal.body)["reason"] == "its node has not answered"
    assert isinstance(stand.peer.messages[-1], StreamClose)


async def test_close_of_the_owner_comes_behind_its_messages() -> None:
    stand = Stand()
    socket = await stand.accepted()
    stand.came(StreamData(1, True, 0, ("last",)))
    stand.came(StreamClose(1, True, 1009, ""))
    await socket.ended()
    assert (socket.sent, socket.close_code) == (["last"], 1009)


async def test_client_that_goes_on_sending_after_the_close_is_not_heard() -> None:
    stand = Stand()
    socket = await stand.accepted()
    stand.came(StreamClose(1, True, 1000, ""))
    socket.send("too late")
    await socket.ended()
    assert not [message for message in stand.peer.messages if isinstance(message, StreamData)]


async def test_client_that_does_not_read_is_dropped_when_the_owner_says_so() -> None:
    stand, wire = Stand(), Wire()
    socket = await stand.accepted(extensions={websocket.EXTENSION: wire})
    socket.can_send.clear()
    stand.came(StreamData(1, True, 0, ("waits", "waits, too")))
    stand.came(StreamClose(1, True, 1006, "slow client"))
    await socket.ended()
    assert wire.aborted.is_set()
    assert socket.sent == []


async def test_client_that_does_not_read_stops_the_owner() -> None:
    stand = Stand()
    socket = await stand.accepted()
    socket.can_send.clear()
    stand.came(StreamData(1, True, 0, ("x" * (WINDOW_BYTES // 2), "x" * (WINDOW_BYTES // 2))))
    for _ in range(20):
        await asyncio.sleep(0)
    assert not [message for message in stand.peer.messages if isinstance(message, StreamCredit)]
    socket.can_send.set()
    await stand.said(StreamCredit(1, False, WINDOW_BYTES // 2))
    socket.close()
    await socket.ended()


async def test_owner_that_does_not_take_stops_the_client() -> None:
    stand = Stand()
    socket = await stand.accepted()
    socket.send("x" * 1_000)
    socket.send("waits")
    await stand.said(StreamData(1, False, 0, ("x" * 1_000,)))
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(stand.peer.messages) == 2
    stand.came(StreamCredit(1, True, 1_000))
    await stand.said(StreamData(1, False, 1, ("waits",)))
    socket.close()
    await socket.ended()


async def test_owner_that_is_gone_closes_what_is_open_and_refuses_what_is_not() -> None:
    stand = Stand()
    socket = await stand.accepted()
    opening = stand.open()
    await wait_until(lambda: len(stand.peer.said) == 2, "the second opening")
    stand.streams.node_gone(NodeId("noth-is-a-node"), "another one")
    stand.streams.node_gone(OWNER, "its node has gone (silent)")
    await socket.ended()
    assert socket.close_code == 1011
    await opening.ended()
    assert (opening.refusal.status, json.loads(opening.refusal.body)["reason"]) == (
        400,
        "its node has gone (silent)",
    )
    assert len(stand.streams) == 0


async def test_node_that_stops_says_so_to_both_sides() -> None:
    stand = Stand()
    socket = await stand.accepted()
    stand.streams.leave()
    await socket.ended()
    assert socket.close_code == 1001
    assert stand.peer.messages[-1] == StreamClose(1, False, 1001, "")


async def test_client_that_cannot_be_written_to_any_more_ends_it() -> None:
    stand = Stand()
    socket = await stand.accepted()
    socket.fails_with = OSError("gone")
    stand.came(StreamData(1, True, 0, ("x",)))
    await asyncio.sleep(0)
    socket.close()
    await socket.ended()
    assert isinstance(stand.peer.messages[-1], StreamClose)
