"""What an ASGI server would be, for a WebSocket that another node has passed on."""

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
from zmqio.relay.owner_websocket import RelayedWebSocket

OPEN = StreamOpen(3, "EIO=4", ("host", "x"), "10.0.0.1", True, 1_000)


class Stand:
    """One WebSocket, and what its owner says."""

    def __init__(self) -> None:
        self.said: list[RelayMessage] = []
        self.failure: Exception | None = None
        self.stream = RelayedWebSocket(OPEN, self._say)

    def _say(self, message: RelayMessage) -> None:
        if self.failure is not None:
            raise self.failure
        self.said.append(message)

    async def accepted(self) -> "Stand":
        assert await self.stream.receive() == {"type": "websocket.connect"}
        await self.stream.send({"type": "websocket.accept"})
        return self


async def test_scope_is_that_of_the_client() -> None:
    scope = Stand().stream.scope
    assert (scope["type"], scope["scheme"], scope["client"]) == ("websocket", "wss", ("10.0.0.1", 0))
    assert "zmqio.relayed" in scope["extensions"]


async def test_messages_go_both_ways() -> None:
    stand = await Stand().accepted()
    await stand.stream.send({"type": "websocket.send", "text": "a"})
    await stand.stream.send({"type": "websocket.send", "bytes": b"b"})
    await asyncio.sleep(0)
    assert stand.said == [StreamAccept(3, WINDOW_BYTES), StreamData(3, True, 0, ("a", b"b"))]
    stand.stream.end.came(StreamData(3, False, 0, ("c", b"d")))
    assert await stand.stream.receive() == {"type": "websocket.receive", "text": "c"}
    assert await stand.stream.receive() == {"type": "websocket.receive", "bytes": b"d"}
    stand.stream.end.came(StreamClose(3, False, 1001, "away"))
    assert await stand.stream.receive() == {"type": "websocket.disconnect", "code": 1001, "reason": "away"}


async def test_refusal_is_an_answer_with_its_body() -> None:
    stand = Stand()
    await stand.stream.send({"type": "websocket.http.response.start", "status": 400, "headers": []})
    await stand.stream.send({"type": "websocket.http.response.body", "body": b"{}"})
    assert stand.said == [StreamRefuse(3, 400, b"{}")]


async def test_close_before_it_was_accepted_is_a_refusal() -> None:
    stand = Stand()
    await stand.stream.send({"type": "websocket.close", "code": 1000})
    assert stand.said == [StreamRefuse(3, 403, b"")]


async def test_close_is_passed_on_and_ends_the_reading() -> None:
    stand = await Stand().accepted()
    await stand.stream.send({"type": "websocket.close", "code": 1009})
    assert stand.said[-1] == StreamClose(3, True, 1009, "")
    assert (await stand.stream.receive())["type"] == "websocket.disconnect"
    stand.stream.finish()
    assert len(stand.said) == 2


async def test_application_that_returns_without_a_close_drops_the_client() -> None:
    stand = await Stand().accepted()
    stand.stream.finish()
    assert stand.said[-1] == StreamClose(3, True, 1006, "the session's node has let it go")


async def test_client_that_does_not_read_is_waited_for_with_the_window_that_it_named() -> None:
    stand = await Stand().accepted()
    await stand.stream.send({"type": "websocket.send", "text": "x" * 1_000})
    waiting = asyncio.create_task(stand.stream.send({"type": "websocket.send", "text": "y"}))
    await asyncio.sleep(0)
    assert not waiting.done()
    stand.stream.end.cut("its node has gone")
    with pytest.raises(ConnectionError, match="gone"):
        await asyncio.wait_for(waiting, LIMIT_S)


async def test_bus_that_is_away_is_an_error() -> None:
    stand = Stand()
    stand.failure = BusUnavailableError("no broker")
    with pytest.raises(ConnectionError, match="no broker"):
        await stand.accepted()
    assert (await stand.stream.receive())["type"] == "websocket.disconnect"
