"""The broker reports a node whose connection ends. A dead node is known at once; one that reconnects stays."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.bench.soak.relays import RelayProcess
from tests.support.broker import BrokerProcess
from tests.support.cluster_nodes import ClusterNode, new_prefix, running_nodes, wait_counts
from tests.support.node_config import NodeConfig
from tests.support.node_harness import NodeEventLog
from tests.support.timing import LIMIT_S
from zmqio.adapter.base import Identity
from zmqio.cluster import presence
from zmqio.cluster.node import Node
from zmqio.config import BusOptions
from zmqio.ids import NodeId, NodeTag
from zmqio.zeromq.bus import ZmqBus

pytestmark = pytest.mark.asyncio(loop_scope="session")

NEVER_SILENT_S = 900.0
"""`dead_after_s` with which no node counts as silent during a test."""


@pytest_asyncio.fixture(loop_scope="session")
async def nodes(broker: BrokerProcess) -> AsyncIterator[list[ClusterNode]]:
    """Two nodes, which detect no death by silence."""
    async with running_nodes(broker.address, 2, dead_after_s=NEVER_SILENT_S) as running:
        yield running


async def test_killed_node_is_known_to_be_dead_without_waiting_for_its_silence(nodes: list[ClusterNode]) -> None:
    one, two = nodes
    await two.kill()
    state = await one.wait_state("the death", lambda state: state["left"])
    assert state["left"] == [[two.node_id, "disconnected"]]


async def test_node_of_another_machine_is_dead_if_it_does_not_reconnect(
    nodes: list[ClusterNode], broker: BrokerProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its process id says nothing here, so the others wait for one heartbeat interval."""
    monkeypatch.setattr(presence, "machine_id", lambda: "another machine")
    bus = ZmqBus([broker.address], BusOptions())
    identity = Identity(NodeId("awayABCDEFGHIJK"), NodeTag("away"))
    away = Node(identity, bus, BusOptions(prefix=nodes[0].config.bus["prefix"]), NodeEventLog())
    await away.start()
    await wait_counts(nodes, 3)
    await bus.close()  # no goodbye
    for node in nodes:
        state = await node.wait_state("the death", lambda state: state["left"])
        assert state["left"] == [[identity.node_id, "disconnected"]]
    await away.close()


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


async def test_stopped_node_is_dead_only_when_it_is_silent(broker: BrokerProcess) -> None:
    """Its connections stay open, so the broker reports nothing."""
    async with running_nodes(broker.address, 2, heartbeat_s=0.2, dead_after_s=1.0) as (one, two):
        two.freeze()
        state = await one.wait_state("the death", lambda state: state["left"])
        assert all(left == [two.node_id, "silent"] for left in state["left"])  # it may have been slow before
        await two.kill()
