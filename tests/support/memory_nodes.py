"""Server nodes over a bus in memory, without an HTTP server."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from tests.support.fake_engine import Harness
from tests.support.memory_bus import MemoryNetwork
from tests.support.timing import wait_until
from zmqio.adapter.base import BusGap, Identity
from zmqio.cluster.factory import ClusterAdapterFactory
from zmqio.config import BusOptions, Recovery
from zmqio.ids import NodeId, NodeTag

__all__ = ["Started", "memory_nodes", "started_factories", "wait_for_keepers"]


class _Ignored:
    """Events about other nodes that no test looks at."""

    def node_joined(self, node_id: NodeId) -> None: ...

    def node_left(self, node_id: NodeId, reason: str) -> None: ...

    def bus_gap(self, gap: BusGap) -> None: ...


Started = tuple[ClusterAdapterFactory, Identity]


@asynccontextmanager
async def started_factories(
    count: int, network: MemoryNetwork, options: BusOptions | None = None, *, first: int = 0
) -> AsyncIterator[list[Started]]:
    """Start the factories of nodes, which then know each other.

    Args:
        count: how many.
        network: the bus.
        options: options of the bus.
        first: number in the id of the first node.
    """
    options = options or BusOptions(heartbeat_s=0.05, dead_after_s=5.0)
    nodes: list[Started] = []
    for number in range(first, first + count):
        identity = Identity(NodeId(f"n{number:03}-node-number"), NodeTag(f"n{number:03}"))
        factory = ClusterAdapterFactory(lambda identity: network.bus(identity.node_id), options)
        await factory.start(identity, _Ignored())
        nodes.append((factory, identity))
    try:
        running = [factory._running_node() for factory, _ in nodes]
        await wait_until(lambda: all(len(node.peers) >= count - 1 for node in running), "the other nodes")
        yield nodes
    finally:
        for factory, _ in nodes:
            await factory.close()


async def wait_for_keepers(factories: Sequence[ClusterAdapterFactory]) -> None:
    """Wait until each of these nodes knows that the others keep sessions."""
    nodes = [factory._running_node() for factory in factories]
    await wait_until(lambda: all(len(node.keepers) >= len(nodes) - 1 for node in nodes), "the keepers")


@asynccontextmanager
async def memory_nodes(
    count: int,
    network: MemoryNetwork | None = None,
    bus: BusOptions | None = None,
    *,
    recoveries: Sequence[Recovery | bool] = (),
    first: int = 0,
    **options: Any,
) -> AsyncIterator[list[Harness]]:
    """Start nodes that know each other; the namespace `/` is open on all of them.

    Args:
        count: how many; each has the id that follows that of the one before.
        network: the bus.
        bus: options of the bus.
        first: number in the id of the first node; other nodes may be on the network.
        recoveries: the option `recovery` of each node, if they differ.
        options: options of the servers.
    """
    async with started_factories(count, network or MemoryNetwork(), bus, first=first) as started:
        recoveries = recoveries or count * [options.pop("recovery", False)]
        nodes = [
            Harness(identity, factory, recovery=recovery, **options)
            for recovery, (factory, identity) in zip(recoveries, started, strict=True)
        ]
        for node in nodes:
            await node.of("/").ready()
        await wait_for_keepers([node.factory for node in nodes if node.runtime.recovery is not None])
        try:
            yield nodes
        finally:
            for node in nodes:
                node.runtime.disable_recovery()
