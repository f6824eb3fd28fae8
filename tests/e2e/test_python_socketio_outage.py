"""Servers of python-socketio whose broker dies under load: nothing is lost, doubled or out of order."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from tests.support.broker import BrokerProcess
from tests.support.clients import SocketClient
from tests.support.js_clients import JsClients
from tests.support.psio_nodes import mixed_nodes
from tests.support.py_clients import PyClient
from tests.support.timing import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="session")

COUNT = 1_200
STEP = 100_000
"""Numbers of node n begin at n * STEP."""


async def test_nothing_is_lost_while_the_broker_is_killed_twice_under_load(js: JsClients) -> None:
    async with BrokerProcess() as broker, mixed_nodes(broker.address) as nodes, AsyncExitStack() as stack:
        clients: list[SocketClient] = []
        for number, node in enumerate(nodes):
            auth = {"rooms": ["all"]}
            client: SocketClient = js.client(node.url, auth=auth) if number else PyClient(node.url, auth=auth)
            stack.push_async_callback(client.end)
            await client.connect()
            clients.append(client)
        floods = [
            asyncio.create_task(node.do("flood", rooms=["all"], first=number * STEP, count=COUNT))
            for number, node in enumerate(nodes[:2])
        ]
        for fraction in (0.1, 0.5):
            await wait_until(
                lambda fraction=fraction: (
                    len(clients[2].received.named("flood")) > fraction * 2 * COUNT
                    or all(flood.done() for flood in floods)
                ),
                "a part of the flood",
            )
            assert not all(flood.done() for flood in floods)
            await asyncio.to_thread(broker.kill)
            await asyncio.sleep(0.3)  # the outage, under load
            await asyncio.to_thread(broker.start)
        await asyncio.gather(*floods)
        for client in clients:
            received = [args[0] for args in await client.wait_for("flood", 2 * COUNT)]
            for number in range(2):
                of_node = [value for value in received if value // STEP == number]
                assert of_node == list(range(number * STEP, number * STEP + COUNT)), client
        assert [(await node.state()).get("gaps", 0) for node in nodes] == [0, 0, 0]
