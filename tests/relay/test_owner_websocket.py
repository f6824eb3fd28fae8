"""A relayed WebSocket at the owner of its session."""

import asyncio

import pytest

from tests.support.timing import LIMIT_S
from zmqio.exceptions import BusUnavailableError
from zmqio.protocol.relay_messages import (
    RelayMessage,
    StreamAccept,
    StreamClose,
    StreamData,
    StreamOpen,
    StreamRefuse,
)
from zmqio.relay.flow_control import WINDOW_BYTES
from zmqio.relay.owner_websocket import OwnerWebSocket

OPEN = StreamOpen(3, "EIO=4", ("host", "x"), "10.0.0.1", True, 1_000)


class Harness:
    """One WebSocket; records the messages to its ingress node."""

    def __init__(self) -> None:
        self.sent: list[RelayMessage] = []
        self.failure: Exception | None = None
        self.stream = OwnerWebSocket(OPEN, self._send)

    def _send(self, message: RelayMessage) -> None:
        if self.failure is not None:
            raise self.failure
        self.sent.append(message)

    async def accepted(self) -> "Harness":
        assert await self.stream.receive() == {"type": "websocket.connect"}
        await self.stream.send({"type": "websocket.accept"})
        return self


async def test_scope_describes_the_client() -> None:
    scope = Harness().stream.scope
    assert (scope["type"], scope["scheme"], scope["client"]) == ("websocket", "wss", ("10.0.0.1", 0))
    assert "zmqio.relayed" in scope["extensions"]


async def test_messages_are_relayed_in_both_directions() -> None:
    harness = await Harness().accepted()
    await harness.stream.send({"type": "websocket.send", "text": "a"})
    await harness.stream.send({"type": "websocket.send", "bytes": b"b"})
    await asyncio.sleep(0)
    assert harness.sent == [StreamAccept(3, WINDOW_BYTES), StreamData(3, True, 0, ("a", b"b"))]
    harness.stream.stream.received(StreamData(3, False, 0, ("c", b"d")))
    assert await harness.stream.receive() == {"type": "websocket.receive", "text": "c"}
    assert await harness.stream.receive() == {"type": "websocket.receive", "bytes": b"d"}
    harness.stream.stream.received(StreamClose(3, False, 1001, "away"))
    assert await harness.stream.receive() == {"type": "websocket.disconnect", "code": 1001, "reason": "away"}


async def test_refusal_carries_status_and_body() -> None:
    harness = Harness()
    await harness.stream.send({"type": "websocket.http.response.start", "status": 400, "headers": []})
    await harness.stream.send({"type": "websocket.http.response.body", "body": b"{}"})
    assert harness.sent == [StreamRefuse(3, 400, b"{}")]


async def test_close_before_the_accept_is_a_refusal_with_403() -> None:
    harness = Harness()
    await harness.stream.send({"type": "websocket.close", "code": 1000})
    assert harness.sent == [StreamRefuse(3, 403, b"")]


async def test_close_is_sent_and_ends_receive() -> None:
    harness = await Harness().accepted()
    await harness.stream.send({"type": "websocket.close", "code": 1009})
    assert harness.sent[-1] == StreamClose(3, True, 1009, "")
    assert (await harness.stream.receive())["type"] == "websocket.disconnect"
    harness.stream.finish()
    assert len(harness.sent) == 2


async def test_return_without_a_close_drops_the_client() -> None:
    harness = await Harness().accepted()
    harness.stream.finish()
    assert harness.sent[-1] == StreamClose(3, True, 1006, "owner node ended the WebSocket without a close")


async def test_send_waits_while_the_window_of_the_ingress_is_full() -> None:
    harness = await Harness().accepted()
    await harness.stream.send({"type": "websocket.send", "text": "x" * 1_000})
    waiting = asyncio.create_task(harness.stream.send({"type": "websocket.send", "text": "y"}))
    await asyncio.sleep(0)
    assert not waiting.done()
    harness.stream.stream.abort("node is unreachable")
    with pytest.raises(ConnectionError, match="unreachable"):
        await asyncio.wait_for(waiting, LIMIT_S)


async def test_send_without_a_broker_raises() -> None:
    harness = Harness()
    harness.failure = BusUnavailableError("no broker")
    with pytest.raises(ConnectionError, match="no broker"):
        await harness.accepted()
    assert (await harness.stream.receive())["type"] == "websocket.disconnect"
