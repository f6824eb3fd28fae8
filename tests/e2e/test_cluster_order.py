"""One sender's messages to rooms arrive in order and once each, however fast it sends."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.support.broker import BrokerProcess
from tests.support.cluster_nodes import ClusterNode, running_nodes
from tests.support.js_clients import JsClient, JsClients
from tests.support.timing import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="session")

MESSAGES = 5_000
WAYS = ("websocket", "polling", "upgrade")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def nodes(broker: BrokerProcess) -> AsyncIterator[list[ClusterNode]]:
    """Three nodes."""
    async with running_nodes(broker.address) as processes:
        yield processes


@pytest_asyncio.fixture(loop_scope="session")
async def listeners(nodes: list[ClusterNode], js: JsClients) -> AsyncIterator[list[JsClient]]:
    """One client of each transport at each node, in three rooms."""
    rooms = ["a", "b", "c"]
    clients = [js.client(node.url, way, auth={"rooms": rooms}) for node in nodes for way in WAYS]
    await asyncio.gather(*(client.connect() for client in clients))
    await asyncio.gather(*(client.wait_upgraded() for client in clients if "upgrade" in client.name))
    yield clients
    await asyncio.gather(*(client.end() for client in clients))


@pytest.mark.parametrize("rooms", [["a"], ["a", "b", "c"]], ids=["one room", "three rooms by turns"])
async def test_flood_of_one_node_arrives_completely_and_in_order(
    nodes: list[ClusterNode], listeners: list[JsClient], rooms: list[str]
) -> None:
    await nodes[0].do("flood", rooms=rooms, count=MESSAGES)
    await all_have(listeners, MESSAGES)
    for client in listeners:
        assert client.received.named("flood") == [[number] for number in range(MESSAGES)], client
        assert client.received.disconnects == []


async def test_floods_of_two_nodes_at_once_keep_the_order_of_each(
    nodes: list[ClusterNode], listeners: list[JsClient]
) -> None:
    count = MESSAGES // 5
    await asyncio.gather(*(node.do("flood", rooms=["a", "b"], count=count) for node in nodes[:2]))
    await all_have(listeners, 2 * count)
    for client in listeners:
        received = [number for (number,) in client.received.named("flood")]
        assert is_merge_of_two(received, count), client


async def all_have(clients: list[JsClient], count: int) -> None:
    """Wait until each client has received `count` messages or was disconnected."""
    for client in clients:
        await wait_until(
            lambda client=client: len(client.received.named("flood")) >= count or client.received.disconnects,
            f"{count} messages at {client}",
        )


def is_merge_of_two(numbers: list[int], count: int) -> bool:
    """Whether `numbers` is two runs of 0..count-1, interleaved in any way."""
    ahead, behind = 0, 0
    for number in numbers:
        if number == ahead:
            ahead += 1
        elif number == behind:
            behind += 1
        else:
            return False
        ahead, behind = max(ahead, behind), min(ahead, behind)
    return ahead == behind == count
