"""The msgpack parser against npm socket.io-msgpack-parser: two nodes on a broker, every transport."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio

import zmqio
from tests.support.broker import BrokerProcess
from tests.support.clients import TRANSPORTS
from tests.support.js_clients import JsClient, JsClients
from tests.support.js_parser import js_tools_with_parser
from tests.support.served import Served
from tests.support.timing import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="session")

VALUES: list[list[Any]] = [
    ["text \u00e9", 1, 2.5, -7, None, True, {"nested": [{"a": "b"}]}],
    [b"\x00\xff", {"deep": [b"one", {"two": b"two"}]}],
    [2**40, "\U0001f600 \u2028"],
    ["x" * 100_000],
    [bytes(100_000)],
]


def make_node(address: str) -> zmqio.Server:
    """A server whose clients command its emits."""
    io = zmqio.Server(adapter=zmqio.ZmqAdapter(address, prefix="msgpack"), parser=zmqio.MsgpackParser())
    io.on("echo", lambda socket, *args: args)
    io.on("join", lambda socket, room: socket.join(room))

    @io.on("say")
    async def say(socket: zmqio.Socket, room: str, *args: Any) -> str:
        await io.to(room).emit("said", *args)
        return "ok"

    @io.on("ask_room")
    async def ask_room(socket: zmqio.Socket, room: str, *args: Any) -> list[Any]:
        return await io.to(room).emit_with_ack("question", *args)

    @io.on("ask_me")
    async def ask_me(socket: zmqio.Socket, *args: Any) -> Any:
        return {"answer": await socket.timeout(20).emit_with_ack("question", *args)}

    return io


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def urls(broker: BrokerProcess) -> AsyncIterator[list[str]]:
    """The URLs of two nodes that have discovered each other."""
    nodes = [make_node(broker.address) for _ in range(2)]
    async with AsyncExitStack() as stack:
        served = [await stack.enter_async_context(Served(node.asgi(), "on")) for node in nodes]
        await wait_until(lambda: all(node.server_count() == 2 for node in nodes), "both nodes know of both")
        yield [one.url for one in served]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def msgpack_js(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[JsClients]:
    """The official JavaScript client with its msgpack parser."""
    find = js_tools_with_parser(tmp_path_factory.mktemp("js"), "socket.io-msgpack-parser")
    async with JsClients(find) as clients:
        yield clients


async def both(urls: list[str], js: JsClients, way: str, room: str) -> list[JsClient]:
    """A client at each node, both in a room."""
    clients = [js.client(url, way) for url in urls]
    await asyncio.gather(*(client.connect() for client in clients))
    await asyncio.gather(*(client.call("join", room) for client in clients))
    return clients


@pytest.mark.parametrize("way", TRANSPORTS)
async def test_values_go_both_ways_with_acknowledgements(urls: list[str], msgpack_js: JsClients, way: str) -> None:
    client = msgpack_js.client(urls[0], way)
    await client.connect()
    for values in VALUES:
        alone = values[0] if len(values) == 1 else values
        assert await client.call("echo", *values) == alone
        assert await client.call("ask_me", *values) == {"answer": alone}
    await client.end()


@pytest.mark.parametrize("way", TRANSPORTS)
async def test_broadcast_reaches_the_clients_of_both_nodes(
    urls: list[str], msgpack_js: JsClients, way: str
) -> None:
    clients = await both(urls, msgpack_js, way, f"room {way}")
    for values in VALUES:
        assert await clients[0].call("say", f"room {way}", *values) == "ok"
    for client in clients:
        assert await client.wait_for("said", len(VALUES)) == VALUES
    await asyncio.gather(*(client.end() for client in clients))


@pytest.mark.parametrize("way", TRANSPORTS)
async def test_broadcast_collects_the_acknowledgements_of_both_nodes(
    urls: list[str], msgpack_js: JsClients, way: str
) -> None:
    clients = await both(urls, msgpack_js, way, f"ask {way}")
    for _ in range(2):  # the second ack id differs from the first
        answers = await clients[1].call("ask_room", f"ask {way}", {"q": b"\x01"}, 5)
        assert answers == [[{"q": b"\x01"}, 5]] * 2
    await asyncio.gather(*(client.end() for client in clients))


async def test_client_with_the_json_parser_is_closed_and_not_left_waiting(urls: list[str], js: JsClients) -> None:
    client = js.client(urls[0], "websocket")
    connecting = asyncio.ensure_future(client.connect())
    assert await client.wait_disconnect() == "transport close"
    assert client.sid == ""
    connecting.cancel()
    await client.end()


async def test_values_that_json_does_not_know_reach_clients_as_the_application_converts_them(
    js: JsClients,
) -> None:
    io = zmqio.Server(adapter=None, default=str)
    number = UUID(int=7)

    @io.on("orders")
    async def orders(socket: zmqio.Socket) -> Any:
        await socket.emit("order", {"id": number, "price": Decimal("1.50")})
        await io.emit("all", number)
        return await socket.timeout(20).emit_with_ack("question", number), [number]

    async with Served(io.asgi(), "on") as server:
        client = js.client(server.url, "websocket")
        await client.connect()
        assert await client.call("orders") == [str(number), [str(number)]]
        await client.end()
