"""A live cluster moves from python-socketio to zmqio: node after node is replaced while clients talk."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from tests.support.broker import BrokerProcess
from tests.support.clients import SocketClient
from tests.support.cluster_nodes import ClusterNode, wait_counts
from tests.support.js_clients import JsClients
from tests.support.node_config import NodeConfig
from tests.support.psio_nodes import CompatNode, mixed_nodes

pytestmark = pytest.mark.asyncio(loop_scope="session")

STEP = 100


async def emit_until(replaced: asyncio.Event, node: ClusterNode, event: str) -> int:
    """Emit numbers until the nodes are replaced; return how many."""
    first = 0
    while not replaced.is_set():
        await node.do("flood", rooms=["all"], first=first, count=STEP, event=event)
        first += STEP
    return first


async def check(client: SocketClient, event: str, count: int) -> None:
    """The client has received all numbers from its first one on, each once and in order."""
    first = (await client.wait_for(event))[0][0]
    received = [args[0] for args in await client.wait_for(event, count - first)]
    assert received == list(range(first, count)), client


async def test_clients_that_stay_miss_nothing_while_nodes_are_replaced(
    broker: BrokerProcess, js: JsClients
) -> None:
    async with mixed_nodes(broker.address, psio_count=3) as nodes, AsyncExitStack() as stack:
        stays, *leaving, zmqio = nodes
        clients = [js.client(node.url, auth={"rooms": ["all"]}) for node in (stays, zmqio)]
        for client in clients:
            stack.push_async_callback(client.end)
            await client.connect()
        replaced = asyncio.Event()
        emitting = [asyncio.create_task(emit_until(replaced, stays, "flood"))]
        for number, (old, kind) in enumerate(zip(leaving, (CompatNode, ClusterNode), strict=True)):
            new = kind(NodeConfig(f"new{number}", adapter=broker.address, bus=stays.config.bus))
            stack.push_async_callback(new.close)
            await new.start()
            newcomer = js.client(new.url, auth={"rooms": ["all"]})
            stack.push_async_callback(newcomer.end)
            await newcomer.connect()
            clients.append(newcomer)
            for event in ("flood", "from compat")[: len(emitting)]:
                await newcomer.wait_for(event)
            if kind is CompatNode:
                await wait_counts([new], 5)  # clients at all other nodes receive its events from the first on
                emitting.append(asyncio.create_task(emit_until(replaced, new, "from compat")))
            await old.stop()
        replaced.set()
        counts = [await count for count in emitting]
        await wait_counts([stays, zmqio], 4)
        for client in clients:
            await check(client, "flood", counts[0])
            await check(client, "from compat", counts[1])
        for event in ("flood", "from compat"):
            assert [client.received.named(event)[0] for client in clients[:2]] == [[0], [0]]
