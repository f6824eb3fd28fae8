"""Flask-SocketIO in threads, `socketio.AsyncServer` and `zmqio.Server` in one cluster; and publishers outside."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import ClassVar

import pytest
import pytest_asyncio

from tests.support.broker import BrokerProcess
from tests.support.clients import SocketClient
from tests.support.cluster import process_environment
from tests.support.cluster_nodes import ClusterNode, new_prefix, wait_counts
from tests.support.js_clients import JsClients
from tests.support.node_config import NodeConfig
from tests.support.psio_nodes import PsioNode
from tests.support.py_clients import PyClient
from tests.support.timing import LIMIT_S

pytest.importorskip("flask_socketio", exc_type=ImportError)
pytestmark = pytest.mark.asyncio(loop_scope="session")


class FlaskNode(ClusterNode):
    """A node process with Flask-SocketIO."""

    module: ClassVar[str] = "tests.support.flask_app"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def nodes(broker: BrokerProcess) -> AsyncIterator[list[ClusterNode]]:
    """Flask-SocketIO, python-socketio and zmqio."""
    bus = {"prefix": new_prefix(), "dead_after_s": LIMIT_S}
    made = [
        kind(NodeConfig(name, adapter=broker.address, bus=bus))
        for kind, name in ((FlaskNode, "flask"), (PsioNode, "psio"), (ClusterNode, "zmqio"))
    ]
    async with AsyncExitStack() as stack:
        for node in made:
            stack.push_async_callback(node.close)
            node.spawn()
        await wait_counts(made, len(made))
        for node in made:
            await node.learn_id()
        yield made
        assert await made[0].stop(signal.SIGINT) in (0, 1, -signal.SIGINT)


@pytest_asyncio.fixture(loop_scope="session")
async def clients(nodes: list[ClusterNode], js: JsClients) -> AsyncIterator[list[SocketClient]]:
    """One client at each node, all in the room `all`."""
    async with AsyncExitStack() as stack:
        made: list[SocketClient] = []
        for number, node in enumerate(nodes):
            auth = {"rooms": ["all", f"of {number}"]}
            client = js.client(node.url, auth=auth) if number == 0 else PyClient(node.url, "websocket", auth=auth)
            stack.push_async_callback(client.end)
            await client.connect()
            made.append(client)
        yield made


async def wait_members(node: ClusterNode, room: str, expected: list[str]) -> None:
    """Wait until `fetch_sockets` of a room at `node` finds exactly these sockets."""
    ends_at = asyncio.get_running_loop().time() + LIMIT_S
    while (found := await node.do("fetch", to=room)) != expected:
        assert asyncio.get_running_loop().time() < ends_at, f"not within {LIMIT_S:g} s: {expected}; it is {found}"
        await asyncio.sleep(0.01)


async def test_emits_both_ways(nodes: list[ClusterNode], clients: list[SocketClient]) -> None:
    await nodes[0].do("emit", event="from flask", args=[1, b"2"], to="all")
    await nodes[1].do("emit", event="from psio", args=[1], to="of 0")
    await nodes[2].do("emit", event="from zmqio", args=[1], rooms=["of 0"])
    for client in clients:
        assert await client.wait_for("from flask") == [[1, b"2"]]
    assert await clients[0].wait_for("from psio") == [[1]]
    assert await clients[0].wait_for("from zmqio") == [[1]]
    await nodes[0].do("emit", event="not all", args=[1], to="all", skip=clients[1].sid)
    await nodes[0].do("emit", event="mark")
    for client in clients:
        await client.wait_for("mark")
    assert [len(client.received.named("not all")) for client in clients] == [1, 0, 1]


async def test_calls_both_ways(nodes: list[ClusterNode], clients: list[SocketClient]) -> None:
    for client in clients:
        assert await nodes[0].do("call", event="ask", args=[7], to=client.sid) == 7
    assert await nodes[1].do("call", event="ask", args=[8], to=clients[0].sid) == 8
    assert await nodes[2].do("remote", do="ask", event="ask", args=[9], rooms=[clients[0].sid]) == 9
    assert await nodes[1].do("ask", event="ask", args=[1], to="all") == [1, 1, 1]
    await nodes[0].do("callback", event="ask", args=["x"], to=clients[2].sid)
    await nodes[0].wait_state("the callback", lambda state: state["called_back"] == [["x"]])


async def test_rooms_and_disconnects_both_ways(nodes: list[ClusterNode], clients: list[SocketClient]) -> None:
    sids = sorted(client.sid for client in clients)
    for client in clients:
        await nodes[0].do("enter", sid=client.sid, room="club")
    assert await nodes[0].do("fetch", to="club") == sids
    await nodes[2].do("leave", rooms=["of 0"], names=["club"])
    # Another node asked for this, so the answers of the first node may still be older.
    await wait_members(nodes[0], "club", sorted(client.sid for client in clients[1:]))
    await nodes[0].do("close", room="club")
    assert await nodes[0].do("fetch", to="club") == []
    assert sorted(await nodes[2].do("ask_nodes", event="who", timeout=LIMIT_S)) == ["flask", "psio"]
    await nodes[1].do("disconnect", sid=clients[0].sid)
    assert await clients[0].wait_disconnect() == "io server disconnect"
    await nodes[0].do("disconnect", sid=clients[1].sid)
    await clients[1].wait_disconnect()


PREFORKED = """
import os, sys
from zmqio.python_socketio import Manager
manager = Manager(sys.argv[1], write_only=True, prefix=sys.argv[2])
manager.emit("job", "parent", room="all")
pid = os.fork()
if pid == 0:
    manager.emit("job", "child", room="all", skip_sid=sys.argv[3])
    sys.exit()
assert os.waitpid(pid, 0)[1] == 0
"""


async def test_a_preforked_worker_publishes_without_a_node(
    nodes: list[ClusterNode], clients: list[SocketClient], broker: BrokerProcess
) -> None:
    await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", PREFORKED, broker.address, nodes[0].config.bus["prefix"], clients[2].sid],
        env=process_environment(),
        timeout=3 * LIMIT_S,
        check=True,
    )
    for client in clients[:2]:
        assert sorted(await client.wait_for("job", 2)) == [["child"], ["parent"]]
    assert await clients[2].wait_for("job") == [["parent"]]
