"""Nodes of one cluster for the adapter conformance suite, over whatever bus it is given."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.support.fake_sockets import FakeSockets
from tests.support.timing import wait_until
from zmqio.adapter.base import Adapter, AdapterFactory, BusGap, Identity
from zmqio.adapter.bus import Bus
from zmqio.cluster.factory import ClusterAdapterFactory
from zmqio.config import BusOptions
from zmqio.ids import NodeId, Sid, make_node_id, make_node_tag, make_sid
from zmqio.protocol.packet import Frames

__all__ = ["Cluster", "MakeFactory", "TestNode", "open_cluster"]

MakeFactory = Callable[[str], AdapterFactory]
"""Makes the adapter factory of the node with the given name; all nodes share one bus."""


class Neighbours:
    """Records the events of a node about other nodes."""

    def __init__(self) -> None:
        self.joined: list[str] = []
        self.left: list[tuple[str, str]] = []
        self.gaps: list[BusGap] = []

    def node_joined(self, node_id: NodeId) -> None:
        """Record a join."""
        self.joined.append(node_id)

    def node_left(self, node_id: NodeId, reason: str) -> None:
        """Record a departure."""
        self.left.append((node_id, reason))

    def bus_gap(self, gap: BusGap) -> None:
        """Record a loss."""
        self.gaps.append(gap)


@dataclass
class TestNode:
    """One node: its factory, and an adapter with sockets for each namespace."""

    __test__ = False

    name: str
    factory: AdapterFactory
    identity: Identity
    neighbours: Neighbours = field(default_factory=Neighbours)
    adapters: dict[str, Adapter] = field(default_factory=dict)
    fakes: dict[str, FakeSockets] = field(default_factory=dict)

    @property
    def adapter(self) -> Adapter:
        """The adapter of the namespace `/`."""
        return self.adapters["/"]

    @property
    def sockets(self) -> FakeSockets:
        """The sockets of the namespace `/`."""
        return self.fakes["/"]

    async def open(self, namespace: str) -> Adapter:
        """Serve a namespace."""
        sockets = self.fakes[namespace] = FakeSockets(self.identity.node_id)
        adapter = self.adapters[namespace] = sockets.adapter = self.factory(namespace, sockets)
        await adapter.open()
        return adapter

    async def connect(self, *rooms: str, namespace: str = "/") -> Sid:
        """Connect a client."""
        sid = make_sid(self.identity.tag)
        await self.adapters[namespace].add(sid, (sid, *rooms))
        return sid

    def rooms_of(self, sid: Sid) -> set[str]:
        """The rooms of a socket, without its own."""
        return set(self.adapter.rooms_of(sid)) - {sid}


class Cluster:
    """Several nodes; `cluster[0]` is the first."""

    def __init__(self, nodes: list[TestNode]) -> None:
        self.nodes = nodes

    def __getitem__(self, index: int) -> TestNode:
        return self.nodes[index]

    def __iter__(self) -> Iterator[TestNode]:
        return iter(self.nodes)

    async def connect_each(self, *rooms: str) -> list[Sid]:
        """Connect one client at each node."""
        return [await node.connect(*rooms) for node in self.nodes]

    def receivers(self, frames: Frames) -> set[str]:
        """The sockets that received a packet; fails if one received it twice."""
        found = set()
        for node in self.nodes:
            for sid, packets in node.sockets.received.items():
                assert packets.count(frames) <= 1, f"{sid} got {frames!r} {packets.count(frames)} times"
                if frames in packets:
                    found.add(sid)
        return found

    async def wait_received(self, frames: Frames, *sids: str) -> None:
        """Wait until these sockets have received a packet, and check that no others do, even later."""
        wanted = set(sids)
        await wait_until(lambda: wanted <= self.receivers(frames), f"{frames!r} at all of {len(wanted)} sockets")
        await self.quiet()
        assert self.receivers(frames) == wanted

    async def quiet(self) -> None:
        """Wait until all messages under way have arrived: a request to all nodes travels behind them."""
        for node in self.nodes:
            await node.adapter.rooms(20)
        for _ in range(50):
            await asyncio.sleep(0)


def make_node(name: str, factory: AdapterFactory, tag: str | None = None) -> TestNode:
    """Make a node without starting it."""
    node_tag = make_node_tag() if tag is None else tag
    identity = Identity(make_node_id(node_tag), node_tag, tag_is_configured=tag is not None)  # type: ignore[arg-type]
    return TestNode(name, factory, identity)


async def start_node(node: TestNode) -> TestNode:
    """Start a node and open the namespace `/`."""
    await node.factory.start(node.identity, node.neighbours)
    await node.open("/")
    return node


@asynccontextmanager
async def open_cluster(make_factory: MakeFactory, count: int = 3) -> AsyncIterator[Cluster]:
    """Run nodes that know each other."""
    nodes = [make_node(name, make_factory(name)) for name in "ABCDEFGH"[:count]]
    try:
        for node in nodes:
            await start_node(node)
        await wait_until(
            lambda: all(node.adapter.server_count() == count for node in nodes), "all nodes are known"
        )
        yield Cluster(nodes)
    finally:
        for node in nodes:
            await node.factory.close()


def over(make_bus: Callable[[str], Bus], options: BusOptions) -> MakeFactory:
    """Make cluster adapters over a bus."""
    return lambda name: ClusterAdapterFactory(lambda _: make_bus(name), options)
