"""Rules of the application, seen by official clients: who is admitted, what reaches whom, what is acknowledged."""

import asyncio
from typing import Any

import pytest

from tests.e2e.conftest import ClientMaker
from tests.support.broker import BrokerProcess
from tests.support.clients import ConnectFailed
from tests.support.served import Served
from tests.support.timing import LIMIT_S, wait_until
from tests.support.websocket_clients import connect
from zmqio import Server, Socket

WEBSOCKET = "/socket.io/?EIO=4&transport=websocket"

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.parametrize("library", ["js", "py"])]


async def admit(socket: Socket) -> bool | None:
    """Middleware that joins a room and then does what the client's auth says."""
    await socket.join("lobby")
    rule = socket.handshake.auth.get("rule")
    if rule == "ask":
        await socket.emit_with_ack("token")
    if rule == "disconnect":
        await socket.disconnect()
    if rule == "cancelled":
        future = asyncio.get_running_loop().create_future()
        future.cancel()
        await future
    return False if rule == "false" else None


def make_server(adapter: str | None = None) -> Server:
    io = Server(adapter, request_timeout_s=60.0)
    io.use(admit)
    io.on("connection", lambda socket: False if socket.handshake.auth.get("rule") == "false later" else None)

    @io.on("*")
    async def other(socket: Socket, event: str, *args: Any) -> list[Any]:
        return [event, *args]

    @io.on("say")
    async def say(socket: Socket, text: str) -> None:
        await io.to([]).emit("leak", text)
        await io.in_(*[]).disconnect_sockets()
        await io.to(["lobby"]).send(text)

    @io.on("ask the lobby")
    async def ask(socket: Socket) -> list[Any]:
        return await io.to("lobby").except_(socket.id).emit_with_ack("question")

    return io


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("ask", "Internal server error"),
        ("disconnect", "refused"),
        ("cancelled", "Internal server error"),
        ("false", "Connection rejected by server"),
        ("false later", "Connection rejected by server"),
    ],
)
async def test_refused_client_hears_why_and_receives_nothing(
    make_client: ClientMaker, library: str, rule: str, message: str
) -> None:
    async with Served(make_server().asgi()) as served:
        refused = make_client(library, served.url, "websocket", auth={"rule": rule})
        with pytest.raises(ConnectFailed) as refusal:
            await refused.connect()
        assert refusal.value.message == message
        admitted = make_client(library, served.url, "websocket", auth={})
        await admitted.connect()
        await admitted.emit("say", "hello")
        assert await admitted.wait_for("message") == [["hello"]]
        assert await admitted.call("unknown", 1) == ["unknown", 1]
        for event in ("leak", "message", "token"):
            assert refused.received.named(event) == []
        assert admitted.received.named("leak") == []


async def test_asking_a_room_does_not_wait_for_clients_of_another_node_that_disconnect(
    make_client: ClientMaker, library: str, own_broker: BrokerProcess
) -> None:
    one, two = make_server(own_broker.address), make_server(own_broker.address)
    async with Served(one.asgi()) as here, Served(two.asgi()) as there:
        await wait_until(lambda: one.running and two.running, "both nodes")
        await wait_until(lambda: one.server_count() == two.server_count() == 2, "each to know the other")
        asker = make_client(library, here.url, "websocket", auth={})
        await asker.connect()
        async with connect(f"{there.url.replace('http', 'ws')}{WEBSOCKET}") as silent:
            await silent.recv()
            await silent.send("40")
            await silent.recv()
            asking = asyncio.create_task(asker.call("ask the lobby"))
            assert str(await asyncio.wait_for(silent.recv(), LIMIT_S)).endswith('["question"]')
        assert await asyncio.wait_for(asking, LIMIT_S) == []
