"""Engines connected by a bus in memory, so that each serves the sessions of all."""

import asyncio
from types import TracebackType
from typing import Any, Self

from tests.support.engine import EngineUnderTest, OnMessage
from tests.support.memory_bus import MemoryNetwork
from tests.support.node_harness import NodeEventLog
from tests.support.timing import wait_until
from zmqio.adapter.base import Identity
from zmqio.cluster.factory import ClusterAdapterFactory
from zmqio.config import BusOptions
from zmqio.ids import NodeId, NodeTag
from zmqio.protocol.envelope import decode
from zmqio.protocol.messages import Message
from zmqio.protocol.publish import BodyKind, classify
from zmqio.relay.relay import Relay, join_nodes

__all__ = ["BUS", "EngineNode", "EngineNodes"]

BUS = BusOptions(heartbeat_s=0.02, dead_after_s=0.4)


class EngineNode(EngineUnderTest):
    """One node: an engine and its relay.

    Args:
        network: the network of all nodes.
        tag: of the node.
        bus: its options.
        on_message: see `EngineUnderTest`.
        options: of the engine.
    """

    relay: Relay

    def __init__(
        self,
        network: MemoryNetwork,
        tag: str,
        bus: BusOptions = BUS,
        on_message: OnMessage | None = None,
        **options: Any,
    ) -> None:
        super().__init__(on_message, tag=tag, **options)
        self.node_id = NodeId(f"{tag}-is-a-node")
        self.bus = network.bus(tag, max_message_bytes=bus.max_message_bytes)
        self._identity = Identity(self.node_id, NodeTag(tag))
        self._factory = ClusterAdapterFactory(lambda identity: self.bus, bus)

    async def start(self) -> None:
        """Join the others; their sessions can be served here once both nodes have discovered each other."""
        await self._factory.start(self._identity, NodeEventLog())
        relay = join_nodes(self._factory, self.engine)
        assert relay is not None
        self.relay = relay

    @property
    def nodes(self) -> int:
        """The number of nodes that it counts."""
        count: int = self._factory.health().details["nodes"]
        return count

    async def stop(self) -> None:
        """Stop as a server does."""
        self.relay.stop_ingress()
        await self.engine.close()
        await self.relay.close()
        await self._factory.close()
        assert self.engine.active_requests == 0

    def die(self) -> None:
        """Simulate a killed process: nothing is sent from now on, not even a goodbye."""
        self.bus.die()


class EngineNodes:
    """Two or more nodes; used as `async with`.

    Args:
        tags: of the nodes.
        bus: options of all.
        on_message: see `EngineUnderTest`.
        options: of all engines.
    """

    def __init__(
        self,
        *tags: str,
        bus: BusOptions = BUS,
        on_message: OnMessage | None = None,
        **options: Any,
    ) -> None:
        self.network = MemoryNetwork()
        self.nodes = [EngineNode(self.network, tag, bus, on_message, **options) for tag in tags]

    async def __aenter__(self) -> Self:
        for node in self.nodes:
            await node.start()
        await wait_until(
            lambda: all(node.nodes == len(self.nodes) for node in self.nodes), "all know of each other"
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.gather(*(node.stop() for node in self.nodes))

    def __getitem__(self, index: int) -> EngineNode:
        return self.nodes[index]

    def sent(self, kind: type[Message]) -> list[Any]:
        """The messages of a kind that nodes have sent, in order."""
        messages = [decode(body).message for _, body in self.network.log if classify(body) is BodyKind.ENVELOPE]
        return [message for message in messages if isinstance(message, kind)]
