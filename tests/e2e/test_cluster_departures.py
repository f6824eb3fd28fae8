"""The broker reports a node whose connection ends. A dead node is known at once; one that reconnects stays.

NATS servers report it after a message to that node.
"""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.bench.soak.relays import RelayProcess
from tests.support.broker import BrokerProcess
from tests.support.cluster_nodes import ClusterNode, new_prefix, running_nodes, wait_counts
from tests.support.nats_server import NatsCluster, NatsServerProcess
from tests.support.node_config import NodeConfig
from tests.support.node_harness import NodeEventLog
from tests.support.ports import free_port
from tests.support.timing import LIMIT_S
from zmqio.adapter.base import Identity
from zmqio.adapter.bus import Bus
from zmqio.cluster import presence
from zmqio.cluster.node import Node
from zmqio.config import BusOptions
from zmqio.ids import NodeId, NodeTag
from zmqio.nats.addresses import parse_servers
from zmqio.nats.bus import NatsBus
from zmqio.nats.login import NatsLogin
from zmqio.zeromq.bus import ZmqBus

pytestmark = pytest.mark.asyncio(loop_scope="session")

NEVER_SILENT_S = 900.0
"""`dead_after_s` with which no node counts as silent during a test."""
HEARTBEAT_S = 0.2
CUT_S = 10 * HEARTBEAT_S


@pytest_asyncio.fixture(scope="module", loop_scope="session", params=["zmqio", "nats", "nats-cluster"])
async def address(request: pytest.FixtureRequest) -> AsyncIterator[str]:
    """The address of a broker, of one NATS server, or of three."""
    match request.param:
        case "nats":
            with NatsServerProcess() as server:
                yield server.address
        case "nats-cluster":
            with NatsCluster() as servers:
                yield ",".join(servers.addresses)
        case _:
            async with BrokerProcess() as process:
                yield process.address


@pytest_asyncio.fixture(loop_scope="session")
async def nodes(address: str) -> AsyncIterator[list[ClusterNode]]:
    """Two nodes, which detect no death by silence."""
    async with running_nodes(address, 2, heartbeat_s=HEARTBEAT_S, dead_after_s=NEVER_SILENT_S) as running:
        yield running


def make_bus(address: str, options: BusOptions) -> Bus:
    if address.startswith("nats"):
        return NatsBus(parse_servers(address), options, NatsLogin())
    return ZmqBus([address], options)


async def test_dead_node_is_known_without_waiting_for_its_silence(
    nodes: list[ClusterNode], address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """First one of another machine: its process id says nothing here, so the others wait for it to reconnect."""
    monkeypatch.setattr(presence, "machine_id", lambda: "another machine")
    options = BusOptions(prefix=nodes[0].config.bus["prefix"], heartbeat_s=HEARTBEAT_S, max_message_bytes=1 << 20)
    bus = make_bus(address, options)
    identity = Identity(NodeId("awayABCDEFGHIJK"), NodeTag("away"))
    away = Node(identity, bus, options, NodeEventLog())
    await away.start()
    await wait_counts(nodes, 3)
    await bus.close()  # no goodbye
    one, two = nodes
    for node in nodes:
        state = await node.wait_state("the death", lambda state: state["left"])
        assert state["left"] == [[identity.node_id, "disconnected"]]
    await away.close()
    await two.kill()
    state = await one.wait_state("the second death", lambda state: len(state["left"]) == 2)
    assert state["left"][1] == [two.node_id, "disconnected"]


async def test_stopped_node_is_dead_only_when_it_is_silent(address: str) -> None:
    """Its connections stay open, so the broker reports nothing."""
    async with running_nodes(address, 2, heartbeat_s=HEARTBEAT_S, dead_after_s=1.0) as (one, two):
        two.freeze()
        state = await one.wait_state("the death", lambda state: state["left"])
        assert all(left == [two.node_id, "silent"] for left in state["left"])  # it may have been slow before
        await two.kill()


async def test_node_that_only_reconnects_is_not_dead_and_loses_nothing(broker: BrokerProcess) -> None:
    bus = {"prefix": new_prefix(), "heartbeat_s": 8.0, "dead_after_s": NEVER_SILENT_S}
    async with (
        RelayProcess(broker.address) as relay,
        ClusterNode(NodeConfig("one", adapter=broker.address, bus=bus)) as one,
        ClusterNode(NodeConfig("two", adapter=relay.address, bus=bus)) as two,
    ):
        assert isinstance(one, ClusterNode) and isinstance(two, ClusterNode)
        await wait_counts([one, two], 2)
        await relay.do("cut")
        await two.wait_log("broker_lost")
        await relay.do("go")
        await two.wait_log("broker_reconnected")
        assert await one.do("ask_nodes", event="who", timeout=LIMIT_S) == ["two"]
        assert (await one.state())["left"] == (await two.state())["left"] == []


async def test_nodes_at_nats_servers_without_a_route_are_not_dead_and_lose_nothing() -> None:
    """Each server knows no subscription of the other server's node."""
    bus = {"prefix": new_prefix(), "heartbeat_s": HEARTBEAT_S, "dead_after_s": NEVER_SILENT_S}
    routes = [free_port(), free_port()]
    async with RelayProcess(f"tcp://127.0.0.1:{routes[1]}") as relay:
        route_port = int(relay.address.rpartition(":")[2])
        with NatsCluster(2, route_port=route_port, route_ports=routes) as servers:
            here, there = servers.addresses
            async with (
                ClusterNode(NodeConfig("one", adapter=here, bus=bus)) as one,
                ClusterNode(NodeConfig("two", adapter=there, bus=bus)) as two,
            ):
                assert isinstance(one, ClusterNode) and isinstance(two, ClusterNode)
                await wait_counts([one, two], 2)
                await relay.do("cut")
                await one.wait_log("nats_cluster_changed")
                await asyncio.sleep(CUT_S)  # how long the fault lasts
                await relay.do("go")
                await one.wait_log("nats_cluster_changed", 2)
                assert await one.do("ask_nodes", event="who", timeout=LIMIT_S) == ["two"]
                assert (await one.state())["left"] == (await two.state())["left"] == []
