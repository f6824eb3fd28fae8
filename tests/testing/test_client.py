"""The client for applications' tests, against a real server."""

from typing import Any

import pytest

from zmqio.exceptions import ConnectRefused
from zmqio.protocol.msgpack_parser import MsgpackParser
from zmqio.server.server import Server
from zmqio.server.socket import Socket
from zmqio.testing.client import TestClient


def chat(**options: Any) -> Server:
    io = Server(adapter=None, **options)
    chat = io.of("/chat")

    @io.on("connect")
    async def connect(socket: Socket, auth: Any) -> None:
        if auth == {"name": "nobody"}:
            raise ConnectRefused("unknown", {"code": 1})
        await socket.join("lobby")

    @io.on("say")
    async def say(socket: Socket, *values: Any) -> Any:
        await io.to("lobby").emit("said", *values)
        return values if len(values) != 1 else values[0]

    @io.on("ask me")
    async def ask_me(socket: Socket) -> Any:
        return await socket.emit_with_ack("question", 6, timeout=5)

    @io.on("leave me")
    async def leave_me(socket: Socket) -> None:
        await socket.disconnect(close=True)

    @io.on("cookie")
    def cookie(socket: Socket) -> str:
        return socket.handshake.headers["cookie"]

    chat.on("ping", lambda socket: "pong")
    return io


@pytest.mark.parametrize("options", [{}, {"parser": MsgpackParser()}])
async def test_events_acknowledgements_and_binary_data(options: dict[str, Any]) -> None:
    async with chat(**options) as io, TestClient(io, **options) as client, TestClient(io, **options) as other:
        assert len(client.sid) == 20
        assert await client.call("say", b"bytes", {"a": 1}) == [b"bytes", {"a": 1}]
        assert await client.call("say") is None
        assert await client.call("say", 7) == 7
        assert await other.receive("said") == [b"bytes", {"a": 1}]
        assert await other.receive("said") == []
        assert await other.receive("said") == [7]
        client.on("question", lambda number: number * 7)
        assert await client.call("ask me") == 42


async def test_refusal_disconnect_and_headers() -> None:
    async with chat() as io:
        with pytest.raises(ConnectRefused) as refused:
            await TestClient(io, auth={"name": "nobody"}).connect()
        assert (refused.value.message, refused.value.data) == ("unknown", {"code": 1})
        async with TestClient(io, headers={"Cookie": "a=b"}) as client:
            assert await client.call("cookie") == "a=b"
            await client.emit("leave me")
            await client.wait_disconnect()
        assert await io.fetch_sockets() == []


async def test_namespace_and_server_that_is_not_started() -> None:
    io = chat()
    async with TestClient(io, namespace="/chat") as client:
        assert await client.call("ping") == "pong"
    await io.close()


async def test_what_does_not_arrive_is_an_error_that_names_what_did() -> None:
    async with chat() as io, TestClient(io, timeout_s=0.3) as client:
        await client.emit("say", "x")
        with pytest.raises(TimeoutError, match=r"'other' did not arrive within 0\.3 s; received: \['said'\]"):
            await client.receive("other")
        with pytest.raises(TimeoutError, match="no acknowledgement of 'nothing'"):
            await client.call("nothing")
