"""One application under two imports, `socketio` and `zmqio.compat`, and a `zmqio.Server`, in one cluster.

With the JSON and with the msgpack parser, in `/` and in another namespace, with official JavaScript clients.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
import pytest_asyncio
import socketio

import zmqio
from tests.support import same_application
from tests.support.broker import BrokerProcess
from tests.support.clients import ConnectFailed
from tests.support.cluster_nodes import new_prefix
from tests.support.js_clients import JsClient, JsClients
from tests.support.js_parser import js_tools_with_parser
from tests.support.served import Served
from tests.support.timing import LIMIT_S, wait_until
from zmqio import compat
from zmqio.python_socketio import AsyncManager

pytestmark = pytest.mark.asyncio(loop_scope="session")

COMPAT, PSIO, ZMQIO = range(3)
WAYS = ("polling", "upgrade", "websocket")


class Peers:
    """One client at each node; all in the room `all`, each in a room of its own."""

    def __init__(self, urls: list[str], parser: str, namespace: str, js: JsClients) -> None:
        self.urls = urls
        self.parser = parser
        self.namespace = namespace
        self.js = js
        self.clients: list[JsClient] = []
        self._marks = 0

    async def connect(self, stack: AsyncExitStack) -> None:
        """Connect the clients."""
        for number, way in enumerate(WAYS):
            auth = {"rooms": [f"of {number}", "all"]}
            client = self.js.client(self.urls[number], way, namespace=self.namespace, auth=auth)
            stack.push_async_callback(client.end)
            await client.connect()
            self.clients.append(client)

    @property
    def sids(self) -> list[str]:
        return [client.sid for client in self.clients]

    async def do(self, node: int, operation: str, **arguments: Any) -> Any:
        """Run a method of the server at a node."""
        return await self.clients[node].call("do", operation, arguments)

    async def wait_state(self, node: int, check: Callable[[Any], bool]) -> Any:
        """Wait until the state of a node is as expected, and return the state."""
        async with asyncio.timeout(LIMIT_S):
            while not check(state := await self.do(node, "state")):
                pass
        return state

    async def receivers(self, *args: Any) -> list[int]:
        """Numbers of the clients that received `hello` once with `args`, when a later mark has reached all."""
        self._marks += 1
        for node in range(3):
            await self.do(node, "emit", event="mark", data=[self._marks, node])
        for client in self.clients:
            await wait_until(
                lambda client=client: sum(mark[0] == self._marks for mark in client.received.named("mark")) == 3,
                f"marks of 3 nodes at {client}",
            )
        found = [client.received.named("hello") for client in self.clients]
        for client in self.clients:
            client.received.events.clear()
        assert all(messages in ([], [list(args)]) for messages in found), found
        return [number for number, messages in enumerate(found) if messages]


def make_zmqio(adapter: zmqio.ZmqAdapter, namespace: str, parser: Any) -> zmqio.Server:
    """A server with the few commands that it needs."""
    io = zmqio.Server(adapter, parser=parser)
    space = io.of(namespace)

    @space.on("connect")
    async def connect(socket: zmqio.Socket, auth: Any) -> None:
        await socket.join(auth["rooms"])

    @space.on("do")
    async def do(socket: zmqio.Socket, operation: str, arguments: dict[str, Any]) -> Any:
        where = space.to(arguments["to"]) if "to" in arguments else space.broadcast()
        if operation == "call":
            return (await where.emit_with_ack(arguments["event"], *arguments["data"]))[0]
        return await where.emit(arguments["event"], *arguments["data"])

    return io


@pytest_asyncio.fixture(
    scope="module", loop_scope="session", params=[("json", "/custom"), ("msgpack", "/")], ids=lambda it: it[0]
)
async def peers(
    request: pytest.FixtureRequest, broker: BrokerProcess, tmp_path_factory: pytest.TempPathFactory, js: JsClients
) -> AsyncIterator[Peers]:
    """The three nodes and their clients."""
    parser, namespace = request.param
    serializer, bus = {"json": "default"}.get(parser, parser), {"prefix": new_prefix(), "dead_after_s": LIMIT_S}
    manager = AsyncManager(broker.address, **bus)
    theirs = same_application.build(socketio, manager, namespace, serializer=serializer)
    adapter = zmqio.ZmqAdapter(broker.address, **bus)
    ours = same_application.build(compat, adapter, namespace, serializer=serializer)
    parser_of_zmqio = zmqio.MsgpackParser() if parser == "msgpack" else None
    io = make_zmqio(zmqio.ZmqAdapter(broker.address, **bus), namespace, parser_of_zmqio)
    apps = [
        compat.ASGIApp(ours),
        socketio.ASGIApp(theirs, on_startup=manager.start, on_shutdown=manager.close),
        io.asgi(),
    ]
    async with AsyncExitStack() as stack:
        if parser == "msgpack":
            find = js_tools_with_parser(tmp_path_factory.mktemp("js"), "socket.io-msgpack-parser")
            js = await stack.enter_async_context(JsClients(find))
        urls = [(await stack.enter_async_context(Served(app, "on"))).url for app in apps]
        await wait_until(lambda: io.server_count() == ours.io.server_count() == 3, "three nodes of zmqio")
        await wait_until(lambda: manager.health().details.get("nodes") == 3, "three nodes of python-socketio")
        found = Peers(urls, parser, namespace, js)
        await found.connect(stack)
        yield found


BOTH = pytest.mark.parametrize("node", [COMPAT, PSIO])


async def test_ids_name_their_node_and_events_of_the_connect_handler_arrive(peers: Peers) -> None:
    assert len({sid[:4] for sid in peers.sids}) == 3
    for client in peers.clients[:ZMQIO]:
        await wait_until(lambda client=client: [client.sid, b"\x00"] in client.received.named("welcome"), "it")


@BOTH
async def test_emit_to_all_a_room_several_rooms_and_one_client(peers: Peers, node: int) -> None:
    values = [b"\x00\xff", {"deep": [b"more"]}, None, "text"]
    await peers.do(node, "emit", event="hello", data=values)
    assert await peers.receivers(*values) == [0, 1, 2]
    await peers.do(node, "emit", event="hello", data=[1], to=["of 0", "of 2", "of 9"])
    assert await peers.receivers(1) == [0, 2]
    await peers.do(node, "emit", event="hello", data=[2], room="all", skip_sid=peers.sids[ZMQIO])
    assert await peers.receivers(2) == [0, 1]
    await peers.do(node, "emit", event="hello", data=[3], skip_sid=peers.sids[:2])
    assert await peers.receivers(3) == [2]
    for number, sid in enumerate(peers.sids):
        await peers.do(node, "emit", event="hello", data=[4], to=sid)
        assert await peers.receivers(4) == [number]
    await peers.do(node, "emit", event="hello", data=[5], ignore_queue=True)
    assert await peers.receivers(5) == [node]


@BOTH
async def test_call_and_callbacks(peers: Peers, node: int) -> None:
    for number, sid in enumerate(peers.sids):
        assert await peers.do(node, "call", event="ask", data=[number, b"x"], to=sid) == [number, b"x"]
        assert await peers.do(ZMQIO, "call", event="ask", data=[number], to=sid) == number
    before = len((await peers.do(node, "state"))["answers"])
    await peers.do(node, "emit", event="ask", data=[None, 7], to="all", callback=True)
    state = await peers.wait_state(node, lambda state: len(state["answers"]) == before + 3)
    assert state["answers"][before:] == [[None, 7]] * 3


@BOTH
async def test_rooms_of_clients_of_any_node(peers: Peers, node: int) -> None:
    for number, sid in enumerate(peers.sids):
        await peers.do(node, "enter_room", sid=sid, room="club")
        await peers.do(node, "emit", event="hello", data=[number], to="club")
        assert await peers.receivers(number) == list(range(number + 1))
    own = peers.sids[node]
    assert await peers.do(node, "rooms", sid=own) == sorted([own, "all", f"of {node}", "club"])
    await peers.do(node, "leave_room", sid=own, room="club")
    await peers.do(node, "emit", event="hello", data=[8], to="club")
    assert await peers.receivers(8) == sorted({0, 1, 2} - {node})
    await peers.do(node, "close_room", room="club")
    await peers.do(node, "emit", event="hello", data=[9], to="club")
    assert await peers.receivers(9) == []


@BOTH
async def test_sessions_acknowledgements_and_refusals(peers: Peers, node: int) -> None:
    assert await peers.do(node, "session") == {"rooms": [f"of {node}", "all"]}
    assert await peers.clients[node].call("other", 1, b"2") == ["other", 1, b"2"]
    refused = peers.js.client(peers.urls[node], namespace=peers.namespace, auth={"refuse": {"code": 4}})
    with pytest.raises(ConnectFailed, match="no") as caught:
        await refused.connect()
    assert caught.value.data == {"code": 4}
    await refused.end()


@BOTH
async def test_a_node_disconnects_clients_of_any_node(peers: Peers, node: int) -> None:
    for number in range(3):
        auth = {"rooms": [f"end {node} {number}"]}
        client = peers.js.client(peers.urls[number], "websocket", namespace=peers.namespace, auth=auth)
        await client.connect()
        await peers.do(node, "disconnect", sid=client.sid)
        reason = await client.wait_disconnect()
        # The JavaScript parser of msgpack refuses the DISCONNECT packets of python-socketio.
        refused = peers.parser == "msgpack" and number == PSIO
        assert reason == ("parse error" if refused else "io server disconnect")
        await client.end()
    for number in (COMPAT, PSIO):
        gone = [f"end {node} {number}", "server disconnect"]
        await peers.wait_state(number, lambda state, gone=gone: gone in state["gone"])
