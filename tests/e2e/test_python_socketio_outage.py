"""Servers of python-socketio whose broker dies under load: nothing is lost, doubled or out of order."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from tests.support.broker import BrokerProcess
from tests.support.clients import SocketClient
from tests.support.cluster_nodes import ClusterNode
from tests.support.js_clients import JsClients
from tests.support.psio_nodes import mixed_nodes
from tests.support.py_clients import PyClient
from tests.support.timing import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="session")

STEPS, STEP = 12, 100
"""Each node emits so many times so many numbers."""
STEPS_AFTER = 2
"""The last steps wait for the end of the outages, so that these are under load however slow the clients are."""
COUNT = STEPS * STEP
NODE = 100_000
"""Numbers of node n begin at n * NODE."""


async def emit_numbers(node: ClusterNode, first: int, over: asyncio.Event) -> None:
    for step in range(STEPS):
        if step == STEPS - STEPS_AFTER:
            await over.wait()
        await node.do("flood", rooms=["all"], first=first + step * STEP, count=STEP)


async def test_nothing_is_lost_while_the_broker_is_killed_twice_under_load(js: JsClients) -> None:
    async with BrokerProcess() as broker, mixed_nodes(broker.address) as nodes, AsyncExitStack() as stack:
        clients: list[SocketClient] = []
        for number, node in enumerate(nodes):
            auth = {"rooms": ["all"]}
            client: SocketClient = js.client(node.url, auth=auth) if number else PyClient(node.url, auth=auth)
            stack.push_async_callback(client.end)
            await client.connect()
            clients.append(client)
        over = asyncio.Event()
        floods = [
            asyncio.create_task(emit_numbers(node, number * NODE, over)) for number, node in enumerate(nodes[:2])
        ]
        for fraction in (0.1, 0.5):
            await wait_until(
                lambda fraction=fraction: (
                    len(clients[2].received.named("flood")) > fraction * 2 * COUNT
                    or any(flood.done() for flood in floods)
                ),
                "a part of the flood",
            )
            assert not any(flood.done() for flood in floods)
            await asyncio.to_thread(broker.kill)
            await asyncio.sleep(0.3)  # the outage, under load
            await asyncio.to_thread(broker.start)
        over.set()
        await asyncio.gather(*floods)
        for client in clients:
            received = [args[0] for args in await client.wait_for("flood", 2 * COUNT)]
            for number in range(2):
                of_node = [value for value in received if value // NODE == number]
                assert of_node == list(range(number * NODE, number * NODE + COUNT)), client
        assert [(await node.state()).get("gaps", 0) for node in nodes] == [0, 0, 0]
