"""The life of one WebSocket under any ASGI server."""

import asyncio
from typing import Any

import pytest

from tests.support.asgi import FakeWebSocket
from tests.support.engine import EngineUnderTest
from tests.support.timing import wait_until
from zmqio.engine.websocket import accept, first_subprotocol


async def test_open_packet_is_the_first_message() -> None:
    async with EngineUnderTest() as host:
        socket = host.websocket()
        opened = await socket.receive()
        assert str(opened).startswith('0{"sid":"node')
        assert '"upgrades":[]' in str(opened)
        assert socket.accepted


async def test_text_and_bytes_are_echoed_as_they_are() -> None:
    def echo(connection: Any, data: str | bytes) -> None:
        connection.session.write(host.engine.prepare([data]))

    async with EngineUnderTest(echo) as host:
        socket, _ = await host.open_websocket()
        socket.send("4héllo")
        socket.send(b"\x00\x01")
        assert [await socket.receive(), await socket.receive()] == ["4héllo", b"\x00\x01"]


async def test_empty_binary_message_arrives() -> None:
    async with EngineUnderTest() as host:
        socket, connection = await host.open_websocket()
        socket.send(b"")
        await wait_until(lambda: connection.messages == [b""], "the message")


async def test_closing_client_ends_the_session() -> None:
    async with EngineUnderTest() as host:
        socket, connection = await host.open_websocket()
        socket.close()
        await socket.ended()
        await wait_until(lambda: connection.reasons, "the reason")
        assert connection.reasons == ["transport close"]
        assert socket.close_code is None or socket.close_code == 1000


async def test_nothing_is_read_while_a_message_is_being_handled() -> None:
    gate = asyncio.Event()

    async def wait(*_: Any) -> None:
        await gate.wait()

    async with EngineUnderTest(wait) as host:
        socket, connection = await host.open_websocket()
        for text in ("4a", "4b", "4c"):
            socket.send(text)
        await wait_until(lambda: connection.messages, "the first message")
        for _ in range(10):
            await asyncio.sleep(0)
        assert connection.messages == ["a"]
        gate.set()
        await wait_until(lambda: connection.messages == ["a", "b", "c"], "the others")


async def test_client_that_goes_before_it_is_accepted_leaves_no_session() -> None:
    async with EngineUnderTest() as host:

        async def receive() -> dict[str, Any]:
            return {"type": "websocket.disconnect", "code": 1006}

        async def send(_: Any) -> None:
            raise AssertionError("nothing may be sent")

        scope = {"type": "websocket", "path": "/", "query_string": b"EIO=4&transport=websocket", "headers": []}
        await host.engine.handle(scope, receive, send)
        assert host.connections == []


async def test_refusal_is_an_http_answer_where_the_server_can_give_one() -> None:
    async with EngineUnderTest() as host:
        socket = host.websocket("unknown")
        await socket.ended()
        assert socket.accepted is False
        assert socket.refusal.status == 400
        assert socket.refusal.text.startswith('{"code":1,"message":"Session ID unknown","reason":')


async def test_refusal_is_a_close_where_it_cannot() -> None:
    async with EngineUnderTest() as host:
        socket = host.websocket("unknown", extensions={})
        await socket.ended()
        assert (socket.accepted, socket.close_code) == (False, 1000)


async def test_websocket_with_the_wrong_transport_or_version_is_refused() -> None:
    async with EngineUnderTest() as host:
        for query, text in (
            ("EIO=4&transport=polling", '{"code":3,"message":"Bad request"}'),
            ("EIO=4", '{"code":0,"message":"Transport unknown"}'),
            ("EIO=3&transport=websocket", '{"code":5,"message":"Unsupported protocol version"}'),
        ):
            socket = FakeWebSocket(host.engine.handle, query)
            await socket.ended()
            assert (socket.accepted, socket.refusal.text) == (False, text)


async def test_idle_websocket_has_no_task_but_the_servers_own() -> None:
    async with EngineUnderTest() as host:
        before = len(asyncio.all_tasks())
        socket, _ = await host.open_websocket()
        host.emit("a")
        assert await socket.receive() == "4a"
        assert len(asyncio.all_tasks()) == before + 1


@pytest.mark.parametrize(
    ("offers", "selected"),
    [
        ([], None),
        (["chat", "superchat"], "chat"),
        (["chat, superchat"], "chat"),
        (["", " ", "two words", "a\r\nb", "caf\xe9", "v1.chat+x"], "v1.chat+x"),
        ([","], None),
    ],
)
def test_first_valid_subprotocol_is_selected(offers: list[str], selected: str | None) -> None:
    assert first_subprotocol(offers) == selected


@pytest.mark.parametrize(
    ("allowed", "selected"), [(None, "a"), (["b", "c"], "b"), (["c", "b"], "b"), (["d"], None), ([], None)]
)
def test_application_names_the_subprotocols_that_may_be_selected(
    allowed: list[str] | None, selected: str | None
) -> None:
    assert first_subprotocol(["a, b", "c"], allowed) == selected


@pytest.mark.parametrize(
    ("scope", "accepted"),
    [
        ({}, {"type": "websocket.accept"}),
        ({"subprotocols": ["a", "b"]}, {"type": "websocket.accept", "subprotocol": "a"}),
    ],
)
async def test_acceptance_names_the_selected_subprotocol(scope: dict[str, Any], accepted: dict[str, Any]) -> None:
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    assert await accept(scope, receive, send)
    assert sent == [accepted]
