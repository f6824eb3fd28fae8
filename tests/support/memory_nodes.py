"""Server nodes over a bus in memory, without an HTTP server."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.support.fake_engine import Harness
from tests.support.memory_bus import MemoryNetwork
from tests.support.timing import wait_until
from zmqio.adapter.base import BusGap, Identity
from zmqio.cluster.factory import ClusterAdapterFactory
from zmqio.config import BusOptions
from zmqio.ids import NodeId, NodeTag

__all__ = ["memory_nodes", "started_factories"]


class _Ignored:
    """Events about other nodes that no test looks at."""

    def node_joined(self, node_id: NodeId) -> None: ...

    def node_left(self, node_id: NodeId, reason: str) -> None: ...

    def bus_gap(self, gap: BusGap) -> None: ...


Started = tuple[ClusterAdapterFactory, Identity]


@asynccontextmanager
async def started_factories(
    count: int, network: MemoryNetwork, options: BusOptions | None = None
) -> AsyncIterator[list[Started]]:
    """Start the factories of nodes, which then know each other."""
    options = options or BusOptions(heartbeat_s=0.05, dead_after_s=5.0)
    nodes: list[Started] = []
    for number in range(count):
        identity = Identity(NodeId(f"n{number:03}-node-number"), NodeTag(f"n{number:03}"))
        factory = ClusterAdapterFactory(lambda identity: network.bus(identity.node_id), options)
        await factory.start(identity, _Ignored())
        nodes.append((factory, identity))
    try:
        running = [factory._running_node() for factory, _ in nodes]
        await wait_until(lambda: all(len(node.peers) == count - 1 for node in running), "the other nodes")
        yield nodes
    finally:
        for factory, _ in nodes:
            await factory.close()


@asynccontextmanager
async def memory_nodes(
    count: int, network: MemoryNetwork | None = None, bus: BusOptions | None = None, **options: Any
) -> AsyncIterator[list[Harness]]:
    """Start nodes that know each other; the namespace `/` is open on all of them."""
    async with started_factories(count, network or MemoryNetwork(), bus) as started:
        nodes = [Harness(identity, factory, **options) for factory, identity in started]
        for node in nodes:
            await node.of("/").ready()
        try:
            yield nodes
        finally:
            for node in nodes:
                node.runtime.disable_recovery()
