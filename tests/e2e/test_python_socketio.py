"""Two servers of python-socketio and one `zmqio.Server` on one broker: every operation, each way."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
import pytest_asyncio

from tests.support.broker import BrokerProcess
from tests.support.clients import SocketClient
from tests.support.cluster_nodes import ClusterNode, NodeFailed, wait_rooms
from tests.support.js_clients import JsClients
from tests.support.psio_nodes import mixed_nodes
from tests.support.py_clients import PyClient
from tests.support.timing import LIMIT_S, wait_until
from zmqio.emitter import Emitter

pytestmark = pytest.mark.asyncio(loop_scope="session")

PSIO, OTHER, ZMQIO = range(3)


class Peers:
    """One client at each node, all in the room `all`; the first two are JavaScript's, the last Python's."""

    def __init__(self, nodes: list[ClusterNode], clients: list[SocketClient]) -> None:
        self.nodes = nodes
        self.clients = clients
        self.sids = [client.sid for client in clients]
        self._marks = 0

    async def receivers(self, event: str, *args: Any) -> list[int]:
        """Numbers of the clients that received an event once with `args`, when a later mark has reached all."""
        self._marks += 1
        for node in self.nodes:
            await node.do("emit", event="mark", args=[self._marks, node.name])
        for client in self.clients:
            await wait_until(
                lambda client=client: sum(mark[0] == self._marks for mark in client.received.named("mark")) == 3,
                f"marks of 3 nodes at {client}",
            )
        found = [client.received.named(event) for client in self.clients]
        for client in self.clients:
            client.received.events.clear()
        assert all(messages in ([], [list(args)]) for messages in found), found
        return [number for number, messages in enumerate(found) if messages]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def mixed(broker: BrokerProcess) -> AsyncIterator[list[ClusterNode]]:
    """The three nodes."""
    async with mixed_nodes(broker.address) as nodes:
        yield nodes


@pytest_asyncio.fixture(loop_scope="session")
async def peers(mixed: list[ClusterNode], js: JsClients) -> AsyncIterator[Peers]:
    """A client at each node; the clients of earlier tests are gone."""
    await wait_rooms(mixed[ZMQIO], {})
    async with AsyncExitStack() as stack:
        clients: list[SocketClient] = []
        for number, way in enumerate(("websocket", "upgrade", "polling")):
            url, auth = mixed[number].url, {"rooms": ["all", f"of {number}"]}
            client: SocketClient = js.client(url, way, auth=auth) if number < 2 else PyClient(url, way, auth=auth)
            stack.push_async_callback(client.end)
            await client.connect()
            clients.append(client)
        yield Peers(mixed, clients)


async def test_ids_name_their_node(peers: Peers) -> None:
    assert [sid[:4] for sid in peers.sids] == [node.node_id[:4] for node in peers.nodes]


@pytest.mark.parametrize("node", [PSIO, ZMQIO])
async def test_emit_to_all_a_room_and_one_client(peers: Peers, node: int) -> None:
    def rooms(*names: str) -> dict[str, Any]:
        return {"rooms": list(names)} if node == ZMQIO else {"to": list(names)}

    await peers.nodes[node].do("emit", event="hello", args=[1])
    assert await peers.receivers("hello", 1) == [0, 1, 2]
    await peers.nodes[node].do("emit", event="hello", args=[2], **rooms("of 1", "of 2", "all 2"))
    assert await peers.receivers("hello", 2) == [1, 2]
    for number, sid in enumerate(peers.sids):
        await peers.nodes[node].do("emit", event="hello", args=[3], **rooms(sid))
        assert await peers.receivers("hello", 3) == [number]


async def test_binary_values_and_several_arguments(peers: Peers) -> None:
    values = [b"\x00\xff", {"deep": [b"more"]}, None, "text"]
    for node in peers.nodes:
        await node.do("emit", event="hello", args=values)
        assert await peers.receivers("hello", *values) == [0, 1, 2]


async def test_skip_sid_of_any_node(peers: Peers) -> None:
    node = peers.nodes[PSIO]
    await node.do("emit", event="hello", args=[1], to="all", skip=peers.sids[OTHER])
    assert await peers.receivers("hello", 1) == [0, 2]
    await node.do("emit", event="hello", args=[2], skip=[peers.sids[0], peers.sids[ZMQIO]])
    assert await peers.receivers("hello", 2) == [1]
    await node.do("except", event="hello", args=[3], rooms=["of 2"])
    assert await peers.receivers("hello", 3) == [0, 1]


async def test_ignore_queue_stays_in_the_process(peers: Peers) -> None:
    await peers.nodes[OTHER].do("emit", event="hello", args=[1], local=True)
    assert await peers.receivers("hello", 1) == [OTHER]


async def test_call_and_callbacks_over_nodes(peers: Peers) -> None:
    for number, sid in enumerate(peers.sids):
        assert await peers.nodes[PSIO].do("call", event="ask", args=[number], to=sid) == number
        assert await peers.nodes[PSIO].do("call", event="ask", args=[1, b"2"], to=sid) in ([1, b"2"], (1, b"2"))
        assert await peers.nodes[ZMQIO].do("remote", do="ask", event="ask", args=[number], rooms=[sid]) == number
    await peers.nodes[OTHER].do("emit_callback", event="ask", args=["x"], to=peers.sids[ZMQIO])
    await peers.nodes[OTHER].wait_state("the callback", lambda state: state["called_back"] == [["x"]])
    answers = await peers.nodes[PSIO].do("ask", event="ask", args=[7], to="all")
    assert answers == [7, 7, 7]


async def test_a_call_to_a_client_that_has_gone_times_out_as_in_python_socketio(peers: Peers) -> None:
    with pytest.raises(NodeFailed, match="TimeoutError: "):
        await peers.nodes[PSIO].do("call", event="ask", to=peers.sids[PSIO][:4] + "x" * 16, timeout=0.01)


async def test_rooms_of_clients_of_other_nodes(peers: Peers) -> None:
    for number, sid in enumerate(peers.sids):
        await peers.nodes[PSIO].do("enter", sid=sid, room="club")
        await peers.nodes[PSIO].do("emit", event="hello", args=[number], to="club")
        assert await peers.receivers("hello", number) == list(range(number + 1))
    assert set(await peers.nodes[OTHER].do("rooms", sid=peers.sids[OTHER])) == {
        peers.sids[OTHER],
        "all",
        "of 1",
        "club",
    }
    await peers.nodes[PSIO].do("leave", sid=peers.sids[OTHER], room="club")
    await peers.nodes[PSIO].do("emit", event="hello", args=[8], to="club")
    assert await peers.receivers("hello", 8) == [0, 2]
    await peers.nodes[ZMQIO].do("join", rooms=["all"], names=["club"])
    await peers.nodes[ZMQIO].do("emit", event="hello", args=[9], rooms=["club"])
    assert await peers.receivers("hello", 9) == [0, 1, 2]
    await peers.nodes[PSIO].do("close", room="club")
    await peers.nodes[PSIO].do("emit", event="hello", args=[10], to="club")
    assert await peers.receivers("hello", 10) == []


async def test_numbers_as_rooms(peers: Peers) -> None:
    await peers.nodes[PSIO].do("enter", sid=peers.sids[PSIO], room=42)
    await peers.nodes[OTHER].do("enter", sid=peers.sids[OTHER], room=42)
    await peers.nodes[OTHER].do("emit", event="hello", args=[1], to=42)
    assert await peers.receivers("hello", 1) == [0, 1]
    assert 42 in await peers.nodes[PSIO].do("rooms", sid=peers.sids[PSIO])
    await peers.nodes[PSIO].do("leave", sid=peers.sids[PSIO], room=42)
    assert 42 not in await peers.nodes[PSIO].do("rooms", sid=peers.sids[PSIO])
    state = await peers.nodes[OTHER].state()
    assert state["health_details"]["counters"]["python_socketio"]["rooms_converted"] >= 2
    with pytest.raises(NodeFailed, match=r"TypeError: room 1\.5"):
        await peers.nodes[PSIO].do("emit", event="hello", to=1.5)


async def test_fetch_sockets_over_all_nodes(peers: Peers) -> None:
    found = await peers.nodes[PSIO].do("fetch", to="all")
    assert {one["sid"]: one["node_id"] for one in found} == dict(
        zip(peers.sids, [node.node_id for node in peers.nodes], strict=True)
    )
    seen_by_zmqio = await peers.nodes[ZMQIO].do("fetch", rooms=["of 0"])
    assert [one["sid"] for one in seen_by_zmqio] == [peers.sids[PSIO]]
    assert seen_by_zmqio[0]["rooms"] == sorted([peers.sids[PSIO], "all", "of 0"])
    assert seen_by_zmqio[0]["handshake"]["query"]["EIO"] == "4"


async def test_server_side_events(peers: Peers) -> None:
    assert sorted(await peers.nodes[PSIO].do("ask_nodes")) == ["psio1", "zmqio"]
    assert sorted(await peers.nodes[ZMQIO].do("ask_nodes", event="who")) == ["psio0", "psio1"]
    await peers.nodes[OTHER].do("tell_nodes", args=["hi"])
    await peers.nodes[PSIO].wait_state("the event", lambda state: ["hi"] in state["received"])


async def test_disconnect_over_nodes(peers: Peers) -> None:
    await peers.nodes[PSIO].do("disconnect", sid=peers.sids[OTHER])
    assert await peers.clients[OTHER].wait_disconnect() == "io server disconnect"
    await peers.nodes[OTHER].wait_state(
        "the handler", lambda state: [peers.sids[OTHER], "server disconnect"] in state["disconnected"]
    )
    await peers.nodes[PSIO].do("disconnect", sid=peers.sids[ZMQIO])
    await peers.clients[ZMQIO].wait_disconnect()
    await peers.nodes[ZMQIO].do("disconnect", rooms=["of 0"], close=True)
    await peers.clients[PSIO].wait_disconnect()
    await wait_rooms(peers.nodes[ZMQIO], {})
    for node in peers.nodes[:ZMQIO]:
        await node.wait_state("empty tables", lambda state: state["tables"] == 0)


async def test_an_emitter_outside_reaches_all(peers: Peers, broker: BrokerProcess) -> None:
    prefix = peers.nodes[PSIO].config.bus["prefix"]
    with Emitter(broker.address, prefix=prefix, send_timeout_s=LIMIT_S) as emitter:
        emitter.to("all").except_(peers.sids[OTHER]).emit("outside", 1, b"2")
        emitter.flush()
    for number in (PSIO, ZMQIO):
        assert await peers.clients[number].wait_for("outside") == [[1, b"2"]]
    assert await peers.receivers("outside", 1, b"2") == [PSIO, ZMQIO]
