"""Official clients behind a proxy without stickiness, which sends every request to the next of three nodes."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.e2e.conftest import ClientMaker
from tests.support.clients import SocketClient
from tests.support.cluster import Cluster
from tests.support.round_robin import RoundRobin
from tests.support.timing import LIMIT_S, wait_until

pytestmark = pytest.mark.asyncio(loop_scope="session")

WAYS = ("polling", "websocket", "upgrade")
LARGE_BYTES = 900_000


@pytest_asyncio.fixture(loop_scope="session")
async def proxy(cluster: Cluster) -> AsyncIterator[RoundRobin]:
    """A proxy in front of the three nodes."""
    async with RoundRobin([node.port for node in cluster.nodes]) as proxy:
        yield proxy


async def health(cluster: Cluster) -> dict[str, int]:
    """The relay counters of all nodes, and unknown sessions, added up."""
    total: dict[str, int] = {}
    for node in cluster.nodes:
        counters = (await node.state())["health_details"]["counters"]
        unknown = counters["engine"].get("sessions_unknown", 0)
        for name, value in [*counters["relay"].items(), ("sessions_unknown", unknown)]:
            total[name] = total.get(name, 0) + value
    return total


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("library", ["js", "py"])
async def test_acknowledged_messages_in_order_both_ways(
    cluster: Cluster, proxy: RoundRobin, make_client: ClientMaker, library: str, way: str
) -> None:
    client = make_client(library, proxy.url, way)
    await client.connect()
    before = await health(cluster)  # the last requests of earlier clients have been counted
    assert [await client.call("echo", number) for number in range(20)] == list(range(20))
    answers = await asyncio.gather(*(client.call("echo", number) for number in range(50)))
    assert answers == list(range(50))
    await client.call("join", f"mine {library} {way}")
    await client.call("flood", f"mine {library} {way}", 200, 60)
    await wait_until(lambda: len(client.received.named("flood")) == 200, "the flood")
    assert [args[0] for args in client.received.named("flood")] == list(range(200))
    assert (await client.call("ask_me", "what"))["answer"] is not None
    if way == "upgrade":
        await wait_for_upgrade(client)
    assert client.received.disconnects == []
    after = await health(cluster)
    assert after["sessions_unknown"] == before["sessions_unknown"]
    if way == "polling":
        assert proxy.nodes_used == 3
        assert after["polls_forwarded"] > before.get("polls_forwarded", 0) + 20


async def test_client_that_offers_subprotocols_upgrades_at_another_node(
    cluster: Cluster, proxy: RoundRobin, make_client: ClientMaker
) -> None:
    before = await health(cluster)
    client = make_client("js", proxy.url, "upgrade", protocols=["chat", "superchat"])
    await client.connect()
    await wait_for_upgrade(client)
    assert await client.call("echo", 1) == 1
    assert client.received.disconnects == []
    assert (await health(cluster))["websockets_forwarded"] > before.get("websockets_forwarded", 0)


@pytest.mark.parametrize("way", WAYS)
async def test_large_and_binary_bodies_both_ways(proxy: RoundRobin, make_client: ClientMaker, way: str) -> None:
    client = make_client("js", proxy.url, way)
    await client.connect()
    text = "x" * LARGE_BYTES
    assert await client.call("echo", text) == text
    binary = bytes(range(256)) * 100
    for _ in range(3):
        assert await client.call("echo", {"deep": [binary]}, 7, binary) == [{"deep": [binary]}, 7, binary]
    assert client.received.disconnects == []


@pytest.mark.parametrize("way", WAYS)
async def test_client_that_closes_ends_its_session(
    cluster: Cluster, proxy: RoundRobin, make_client: ClientMaker, way: str
) -> None:
    client = make_client("js", proxy.url, way)
    await client.connect()
    await client.call("echo", 1)
    await client.disconnect()
    assert await reason_of(cluster, client.sid) == "client namespace disconnect"
    await wait_until(lambda: client.received.disconnects, "the disconnect")
    assert client.received.disconnects == ["io client disconnect"]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("how", "said"), [("namespace", "io server disconnect"), ("connection", "io server disconnect")]
)
async def test_client_receives_the_disconnect_of_the_server(
    cluster: Cluster, proxy: RoundRobin, make_client: ClientMaker, way: str, how: str, said: str
) -> None:
    client = make_client("js", proxy.url, way)
    await client.connect()
    for number in range(3):
        assert await client.call("echo", number) == number
    await client.emit("kick", how)
    await wait_until(lambda: client.received.disconnects, "the disconnect")
    assert client.received.disconnects == [said]
    assert await reason_of(cluster, client.sid) == "server namespace disconnect"


async def test_many_clients_at_once(cluster: Cluster, proxy: RoundRobin, make_client: ClientMaker) -> None:
    clients = [make_client("js", proxy.url, WAYS[number % 3]) for number in range(30)]
    await asyncio.gather(*(client.connect() for client in clients))
    before, failed_before = await health(cluster), await failed_publishes(cluster)

    async def talk(client: Any) -> None:
        for number in range(20):
            assert await client.call("echo", number, client.sid) == [number, client.sid]

    await asyncio.gather(*(talk(client) for client in clients))
    assert [client.received.disconnects for client in clients] == [[]] * 30
    assert (await health(cluster))["sessions_unknown"] == before["sessions_unknown"]
    await asyncio.gather(*(client.end() for client in clients))
    for node in cluster.nodes:
        await node.wait_state("nothing is left", lambda state: state["health_details"]["relay_requests_open"] == 0)
    assert await failed_publishes(cluster) == failed_before


async def failed_publishes(cluster: Cluster) -> int:
    """Messages that nodes could not publish; tests of other modules have caused some at the same nodes."""
    states = [await node.state() for node in cluster.nodes]
    return sum(state["health_details"]["counters"]["bus"].get("publish_failed", 0) for state in states)


async def wait_for_upgrade(client: SocketClient) -> None:
    """Wait until its session has left polling."""
    async with asyncio.timeout(LIMIT_S):
        while (await client.call("whoami"))["transport"] != "websocket":
            pass


async def reason_of(cluster: Cluster, sid: str | None) -> str:
    """The disconnect reason of a socket, on any node."""
    async with asyncio.timeout(LIMIT_S):
        while True:
            for node in cluster.nodes:
                reasons = (await node.state())["reasons"]
                if sid in reasons:
                    return str(reasons[sid])
