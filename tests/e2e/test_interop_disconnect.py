"""Disconnect reasons in the client's library and in the server's handler."""

import asyncio
import signal

import pytest

from tests.e2e.conftest import ClientMaker
from tests.support.clients import TRANSPORTS, SocketClient
from tests.support.cluster import Cluster, NodeProcess
from tests.support.js_clients import JsClient, JsClients
from tests.support.node_config import NodeConfig

pytestmark = pytest.mark.asyncio(loop_scope="session")


PATIENCE_S = 5.0
"""Longer than any client of these tests takes to answer a ping, also on a busy machine."""


async def reason_at(node: NodeProcess, sid: str) -> str:
    """Wait for the disconnect handler of a socket, and return its reason."""
    state = await node.wait_state(f"the disconnect of {sid}", lambda state: sid in state["reasons"])
    reason: str = state["reasons"][sid]
    return reason


async def connected(client: SocketClient) -> SocketClient:
    """Connect, and wait for the upgrade where there is one."""
    await client.connect()
    if "upgrade" in client.name:
        await client.wait_upgraded()
    return client


@pytest.mark.parametrize("way", TRANSPORTS)
class TestEveryTransport:
    @pytest.mark.parametrize(
        ("library", "received"), [("js", "io client disconnect"), ("py", "client disconnect")]
    )
    async def test_the_client_leaves(
        self, cluster: Cluster, make_client: ClientMaker, way: str, library: str, received: str
    ) -> None:
        client = await connected(make_client(library, cluster[0].url, way))
        await client.disconnect()
        assert await client.wait_disconnect() == received
        # python-socketio closes at once, often before its DISCONNECT is sent (with the JavaScript server, too).
        reasons = {"js": ["client namespace disconnect"], "py": ["client namespace disconnect", "transport close"]}
        assert await reason_at(cluster[0], client.sid) in reasons[library]

    @pytest.mark.parametrize(
        ("library", "received"), [("js", "io server disconnect"), ("py", "server disconnect")]
    )
    async def test_the_server_disconnects_the_socket(
        self, cluster: Cluster, make_client: ClientMaker, way: str, library: str, received: str
    ) -> None:
        client = await connected(make_client(library, cluster[1].url, way))
        await client.emit("kick", "namespace")
        assert await client.wait_disconnect() == received
        assert await reason_at(cluster[1], client.sid) == "server namespace disconnect"

    async def test_the_server_closes_the_connection(
        self, cluster: Cluster, make_client: ClientMaker, way: str
    ) -> None:
        client = await connected(make_client("js", cluster[1].url, way))
        await client.emit("kick", "connection")
        assert await client.wait_disconnect() == "io server disconnect"
        assert await reason_at(cluster[1], client.sid) == "server namespace disconnect"

    async def test_a_dropped_connection_has_its_own_reason(
        self, cluster: Cluster, make_client: ClientMaker, way: str
    ) -> None:
        client = await connected(make_client("js", cluster[2].url, way))
        await client.drop()
        assert await reason_at(cluster[2], client.sid) == "transport close"


async def test_a_client_that_answers_no_ping_times_out(js: JsClients) -> None:
    config = NodeConfig("impatient", None, options={"ping_interval_s": 0.2, "ping_timeout_s": PATIENCE_S})
    async with NodeProcess(config) as node:
        lively = js.client(node.url, "websocket")
        silent = {way: await silent_client(js, node, way) for way in ("websocket", "polling")}
        await lively.connect()
        for client in silent.values():
            assert await reason_at(node, client.sid) == "ping timeout"
        assert await lively.call("echo", "alive") == "alive"
        await lively.drop()


async def silent_client(js: JsClients, node: NodeProcess, way: str) -> JsClient:
    """A client that answers no pings on an open connection."""
    client = js.client(node.url, way)
    await client.connect()
    await client.stop_answering_pings()
    return client


@pytest.mark.parametrize("way", TRANSPORTS)
async def test_a_stopping_node_disconnects_its_clients(js: JsClients, way: str) -> None:
    node = await NodeProcess(NodeConfig("leaver", None)).start()
    try:
        client = js.client(node.url, way)
        await connected(client)
        await node.stop(signal.SIGTERM)
        received = await client.wait_disconnect()
        lines = node.log_lines("disconnect_handler_ran")
    finally:
        await node.close()
    assert [(line["sid"], line["reason"]) for line in lines] == [(client.sid, "server shutting down")]
    # Not "io server disconnect": after that the official client would not come back by itself.
    assert received in ("transport close", "transport error")


async def test_a_dropped_websocket_is_detected_at_once(cluster: Cluster, make_client: ClientMaker) -> None:
    clients = [await connected(make_client("js", node.url, "websocket")) for node in cluster.nodes]
    await asyncio.gather(*(client.drop() for client in clients))
    for node, client in zip(cluster.nodes, clients, strict=True):
        assert await reason_at(node, client.sid) == "transport close"
