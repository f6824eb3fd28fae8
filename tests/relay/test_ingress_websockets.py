"""Forwarded WebSockets of a simulated owner."""

import asyncio
import json
from collections import Counter
from itertools import count
from typing import Any

import pytest

from tests.support.asgi import FakeWebSocket
from tests.support.fake_peer import OWNER, SID, FakePeer
from tests.support.timing import wait_until
from zmqio.config import EngineOptions
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
from zmqio.relay.ingress_websockets import IngressWebSockets


class Wire:
    """A `DirectWire` that only records that it was aborted."""

    def __init__(self) -> None:
        self.aborted = asyncio.Event()

    def abort(self) -> None:
        self.aborted.set()


class Harness:
    """The forwarded WebSockets of one node."""

    def __init__(self, answer_limit_s: float = 1_000.0, max_payload_bytes: int = 1_000_000) -> None:
        self.peer = FakePeer()
        self.counters: Counter[str] = Counter()
        options = EngineOptions(upgrade_timeout_s=answer_limit_s, max_payload_bytes=max_payload_bytes)
        self.websockets = IngressWebSockets(self.peer.send_to, count(1), options, self.counters)

    def open(self, **options: Any) -> FakeWebSocket:
        return FakeWebSocket(self._serve, f"sid={SID}", origin="http://x", **options)

    async def accepted(self, **options: Any) -> FakeWebSocket:
        socket = self.open(**options)
        await wait_until(lambda: self.peer.sent, "the opening")
        assert self.websockets.answered(OWNER, StreamAccept(1, 1_000))
        await wait_until(lambda: socket.accepted, "the acceptance")
        return socket

    def receive(self, message: StreamData | StreamClose | StreamCredit) -> None:
        assert self.websockets.received(OWNER, message)

    async def wait_sent(self, message: RelayMessage) -> None:
        await wait_until(lambda: message in self.peer.messages, f"{message} in {self.peer.messages}")

    async def _serve(self, scope: Any, receive: Any, send: Any) -> None:
        refusal = await self.websockets.forward(OWNER, SID, read_request(scope), scope, receive, send)
        if refusal is not None:
            await websocket.refuse(refusal, scope, receive, send)


async def test_client_is_accepted_after_the_owner_has_accepted() -> None:
    harness = Harness()
    socket = harness.open()
    await wait_until(lambda: harness.peer.sent, "the opening")
    assert harness.peer.sent == [
        (OWNER, StreamOpen(1, f"sid={SID}", ("origin", "http://x"), "127.0.0.1", False, WINDOW_BYTES))
    ]
    assert not socket.accepted
    assert not harness.websockets.answered(NodeId("evil-is-a-node"), StreamAccept(1, 1_000))
    assert not harness.websockets.answered(OWNER, StreamAccept(2, 1_000))
    assert harness.websockets.answered(OWNER, StreamAccept(1, 1_000))
    await wait_until(lambda: socket.accepted, "the acceptance")
    assert (len(harness.websockets), harness.counters) == (1, {"websockets_forwarded": 1})
    socket.close()
    await socket.ended()


async def test_messages_are_forwarded_in_both_directions() -> None:
    harness = Harness()
    socket = await harness.accepted()
    socket.send("2probe")
    await harness.wait_sent(StreamData(1, False, 0, ("2probe",)))
    harness.receive(StreamData(1, True, 0, ("3probe", b"bytes")))
    assert [await socket.receive(), await socket.receive()] == ["3probe", b"bytes"]
    socket.close()
    await socket.ended()
    assert harness.peer.messages[-1] == StreamClose(1, False, 1005, "")
    assert len(harness.websockets) == 0
    assert not harness.websockets.received(OWNER, StreamData(1, True, 1, ("late",)))


async def test_refusal_of_the_owner_reaches_the_client() -> None:
    harness = Harness()
    socket = harness.open()
    await wait_until(lambda: harness.peer.sent, "the opening")
    harness.websockets.answered(OWNER, StreamRefuse(1, 400, b'{"code":3}'))
    await socket.ended()
    assert (socket.accepted, socket.refusal.status, socket.refusal.body) == (False, 400, b'{"code":3}')
    assert len(harness.peer.sent) == 1


@pytest.mark.parametrize(
    ("failure", "status", "text"),
    [
        (BusUnavailableError("no broker"), 503, "node of the session cannot be reached: no broker is connected"),
        (EnvelopeError("StreamOpen.query"), 400, "Bad request"),
    ],
)
async def test_request_that_cannot_be_sent_is_refused(failure: Exception, status: int, text: str) -> None:
    harness = Harness()
    harness.peer.failure = failure
    socket = harness.open()
    await socket.ended()
    assert (socket.accepted, socket.refusal.status, text in socket.refusal.text) == (False, status, True)


async def test_owner_that_does_not_answer_in_time_gives_status_504() -> None:
    harness = Harness(answer_limit_s=0.001)
    socket = harness.open()
    await socket.ended()
    assert socket.refusal.status == 504
    assert json.loads(socket.refusal.body)["reason"] == "owner node has not answered"
    assert isinstance(harness.peer.messages[-1], StreamClose)


async def test_close_of_the_owner_follows_its_messages() -> None:
    harness = Harness()
    socket = await harness.accepted()
    harness.receive(StreamData(1, True, 0, ("last",)))
    harness.receive(StreamClose(1, True, 1009, ""))
    await socket.ended()
    assert (socket.sent, socket.close_code) == (["last"], 1009)


async def test_messages_of_a_client_after_the_close_are_dropped() -> None:
    harness = Harness()
    socket = await harness.accepted()
    harness.receive(StreamClose(1, True, 1000, ""))
    socket.send("too late")
    await socket.ended()
    assert not [message for message in harness.peer.messages if isinstance(message, StreamData)]


async def test_client_that_does_not_read_is_dropped_on_a_drop_of_the_owner() -> None:
    harness, wire = Harness(), Wire()
    socket = await harness.accepted(extensions={websocket.EXTENSION: wire})
    socket.can_send.clear()
    harness.receive(StreamData(1, True, 0, ("waits", "waits, too")))
    harness.receive(StreamClose(1, True, 1006, "slow client"))
    await socket.ended()
    assert wire.aborted.is_set()
    assert socket.sent == []


async def test_client_that_does_not_read_gives_the_owner_no_credit() -> None:
    harness = Harness()
    socket = await harness.accepted()
    socket.can_send.clear()
    harness.receive(StreamData(1, True, 0, ("x" * (WINDOW_BYTES // 2), "x" * (WINDOW_BYTES // 2))))
    for _ in range(20):
        await asyncio.sleep(0)
    assert not [message for message in harness.peer.messages if isinstance(message, StreamCredit)]
    socket.can_send.set()
    await harness.wait_sent(StreamCredit(1, False, WINDOW_BYTES // 2))
    socket.close()
    await socket.ended()


async def test_client_is_not_read_while_the_owner_gives_no_credit() -> None:
    harness = Harness()
    socket = await harness.accepted()
    socket.send("x" * 1_000)
    socket.send("waits")
    await harness.wait_sent(StreamData(1, False, 0, ("x" * 1_000,)))
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(harness.peer.messages) == 2
    harness.receive(StreamCredit(1, True, 1_000))
    await harness.wait_sent(StreamData(1, False, 1, ("waits",)))
    socket.close()
    await socket.ended()


async def test_unreachable_owner_closes_open_websockets_and_refuses_pending_ones() -> None:
    harness = Harness()
    socket = await harness.accepted()
    opening = harness.open()
    await wait_until(lambda: len(harness.peer.sent) == 2, "the second opening")
    harness.websockets.node_unreachable(NodeId("noth-is-a-node"), "another one")
    harness.websockets.node_unreachable(OWNER, "owner node is unreachable (silent)")
    await socket.ended()
    assert socket.close_code == 1011
    await opening.ended()
    assert (opening.refusal.status, json.loads(opening.refusal.body)["reason"]) == (
        400,
        "owner node is unreachable (silent)",
    )
    assert len(harness.websockets) == 0


async def test_stop_closes_both_ends_with_1001() -> None:
    harness = Harness()
    socket = await harness.accepted()
    harness.websockets.stop()
    await socket.ended()
    assert socket.close_code == 1001
    assert harness.peer.messages[-1] == StreamClose(1, False, 1001, "")


async def test_failed_write_to_the_client_closes_the_stream() -> None:
    harness = Harness()
    socket = await harness.accepted()
    socket.fails_with = OSError("gone")
    harness.receive(StreamData(1, True, 0, ("x",)))
    await asyncio.sleep(0)
    socket.close()
    await socket.ended()
    assert isinstance(harness.peer.messages[-1], StreamClose)


async def test_message_over_the_limit_is_not_forwarded_and_closes_both_ends_with_1009() -> None:
    harness = Harness(max_payload_bytes=10)
    socket = await harness.accepted()
    socket.send("4" + "ü" * 4)
    socket.send(b"x" * 11)
    socket.send("4behind")
    await socket.ended()
    assert harness.peer.messages[-2:] == [
        StreamData(1, False, 0, ("4" + "ü" * 4,)),
        StreamClose(1, False, 1009, ""),
    ]
    assert socket.close_code == 1009
    assert harness.counters["packets_rejected"] == 1
