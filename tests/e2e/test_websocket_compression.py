"""`websocket_compression=True`: the official client, on its own node and through another one."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.e2e.conftest import ClientMaker
from tests.support.broker import BrokerProcess
from tests.support.cluster import Cluster
from tests.support.cluster_nodes import new_prefix
from tests.support.js_clients import JsClient
from tests.support.node_config import NodeConfig
from tests.support.round_robin import RoundRobin
from tests.support.timing import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="session")

TEXT = "compressible " * 5_000
BINARY = bytes(range(256)) * 100


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def pair(broker: BrokerProcess) -> AsyncIterator[Cluster]:
    """Two nodes."""
    options, bus = {"websocket_compression": True}, {"prefix": new_prefix()}
    async with Cluster(broker.address, [NodeConfig(name, options=options, bus=bus) for name in "ab"]) as cluster:
        yield cluster


@pytest.mark.parametrize("way", ["websocket", "upgrade", "through another node"])
async def test_large_packets_both_ways(pair: Cluster, make_client: ClientMaker, way: str) -> None:
    async with RoundRobin([node.port for node in pair]) as proxy:
        url = proxy.url if way == "through another node" else pair[0].url
        client = make_client("js", url, "websocket" if way == "websocket" else "upgrade")
        await client.connect()
        if way != "websocket":
            await client.wait_upgraded()
        assert isinstance(client, JsClient)
        assert (await client.extensions()).startswith("permessage-deflate")
        for value in (TEXT, [TEXT, BINARY, {"deep": BINARY}], "small"):
            assert await client.call("echo", value) == value
        await client.call("join", "all")
        await client.call("flood", "all", 20, 3_000)
        await wait_until(lambda: len(client.received.named("flood")) == 20, "the flood")
        assert [args[0] for args in client.received.named("flood")] == list(range(20))
        assert client.received.disconnects == []
