"""Dynamic namespaces, handler classes and listeners of one socket, with the official JavaScript client."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
import pytest_asyncio

import zmqio
from tests.support.broker import BrokerProcess
from tests.support.clients import TRANSPORTS, ConnectFailed
from tests.support.js_clients import JsClients
from tests.support.served import Served
from tests.support.timing import LIMIT_S, wait_until

pytestmark = pytest.mark.asyncio(loop_scope="session")


class Chat(zmqio.NamespaceHandlers):
    """The handlers of `/chat`."""

    async def on_connect(self, socket: zmqio.Socket, auth: Any) -> None:
        await socket.join("lobby")

    @zmqio.event("chat message")
    async def say(self, socket: zmqio.Socket, text: str) -> str:
        await self.namespace.to("lobby").emit("chat message", text)
        return "delivered"


class Node:
    """A server whose clients may create namespaces.

    Attributes:
        log: the events that its listeners received.
    """

    def __init__(self, address: str) -> None:
        self.log: list[Any] = []
        self.io = io = zmqio.Server(
            adapter=zmqio.ZmqAdapter(address, prefix="dynamic"),
            cleanup_empty_child_namespaces=True,
            concurrent_events=True,
        )
        io.register("/chat", Chat())
        io.on("connect", self.connect)
        io.on("disconnect", lambda socket, reason: self.log.append(("left", sorted(socket.rooms - {socket.id}))))
        io.on("echo", lambda socket, *args: args)
        io.on("ask_me", self.ask_me)
        self.rooms = io.of(re.compile(r"^/room-\d+$"))
        self.rooms.on("say_here", lambda socket, text: io.of(socket.namespace).emit("said", text))
        self.rooms.on("say_everywhere", lambda socket, text: self.rooms.emit("said", text))
        self.rooms.on("whoami", lambda socket: socket.namespace)
        io.of(self.allow_members)

    async def allow_members(self, name: str, auth: Any) -> bool:
        """A rule that uses the name and the auth payload."""
        return name.startswith("/members/") and auth == {"member": True}

    async def connect(self, socket: zmqio.Socket) -> None:
        """Register middleware and listeners on the socket."""
        await socket.join("a room")

        @socket.use
        def middleware(event: str, args: list[Any]) -> None:
            if args[:1] == ["forbidden"]:
                raise PermissionError

        socket.on_any(lambda event, *args: self.log.append(("in", event, args)))
        socket.on_any_outgoing(lambda event, *args: self.log.append(("out", event, args)))

    async def ask_me(self, socket: zmqio.Socket, seconds: float) -> str:
        """Ask the client, and report the outcome."""
        await socket.volatile.emit("hint", 1)
        try:
            return str(await socket.timeout(seconds).emit_with_ack("question", "q"))
        except zmqio.RequestTimeoutError:
            return "timeout"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def nodes(broker: BrokerProcess) -> AsyncIterator[list[tuple[Node, str]]]:
    """Two nodes that have discovered each other, with their addresses."""
    nodes = [Node(broker.address) for _ in range(2)]
    async with AsyncExitStack() as stack:
        served = [await stack.enter_async_context(Served(node.io.asgi(), "on")) for node in nodes]
        await wait_until(lambda: all(node.io.server_count() == 2 for node in nodes), "both nodes know of both")
        yield [(node, one.url) for node, one in zip(nodes, served, strict=True)]


@pytest.mark.parametrize("way", TRANSPORTS)
async def test_clients_make_namespaces_that_span_nodes_and_vanish_again(
    nodes: list[tuple[Node, str]], js: JsClients, way: str
) -> None:
    (node, first), (_, second) = nodes
    here, there = (js.client(url, way, namespace="/room-1") for url in (first, second))
    other = js.client(first, way, namespace="/room-2")
    await asyncio.gather(*(client.connect() for client in (here, there, other)))
    assert await here.call("whoami") == "/room-1"
    await here.emit("say_here", "one")
    assert await there.wait_for("said") == [["one"]]
    await here.emit("say_everywhere", "two")
    assert await other.wait_for("said") == [["two"]]
    assert await there.wait_for("said", 2) == [["one"], ["two"]]
    assert sorted(node.rooms.children) == ["/room-1", "/room-2"]
    await asyncio.gather(*(client.drop() for client in (here, there, other)))
    await wait_until(lambda: not node.rooms.children, "the empty namespaces are closed")


async def test_function_decides_by_name_and_auth(nodes: list[tuple[Node, str]], js: JsClients) -> None:
    (_, url), _ = nodes
    inside = js.client(url, "websocket", namespace="/members/1", auth={"member": True})
    await inside.connect()
    for namespace, auth in (("/members/1", {"member": False}), ("/members/2", None), ("/room-x", {})):
        refused = js.client(url, "websocket", namespace=namespace, auth=auth)
        with pytest.raises(ConnectFailed, match="Invalid namespace"):
            await refused.connect()
        await refused.end()
    await inside.end()


async def test_class_handles_the_events_of_its_namespace(nodes: list[tuple[Node, str]], js: JsClients) -> None:
    clients = [js.client(url, namespace="/chat") for _, url in nodes]
    await asyncio.gather(*(client.connect() for client in clients))
    assert await clients[0].call("chat message", "hello") == "delivered"
    for client in clients:
        assert await client.wait_for("chat message") == [["hello"]]
        await client.end()


async def test_middleware_listeners_and_limits_of_one_socket(nodes: list[tuple[Node, str]], js: JsClients) -> None:
    (node, url), _ = nodes
    node.log.clear()
    client = js.client(url, "websocket")
    await client.connect()
    assert await client.call("echo", 1) == 1
    await client.emit("echo", "forbidden")
    # Concurrent events: this one waits for the client, and the next does not wait for it.
    assert await client.call("ask_me", LIMIT_S) == "q"
    await client.mute()
    assert await client.call("ask_me", 0.05) == "timeout"
    assert client.received.named("hint") == [[1], [1]]
    assert [entry for entry in node.log if entry[0] == "in"][:2] == [
        ("in", "echo", (1,)),
        ("in", "echo", ("forbidden",)),
    ]
    assert [entry for entry in node.log if entry[0] == "out"] == [
        ("out", "hint", (1,)),
        ("out", "question", ("q",)),
    ] * 2
    await client.disconnect()
    await wait_until(lambda: ("left", ["a room"]) in node.log, "the disconnect handler sees the rooms")
    await client.end()
