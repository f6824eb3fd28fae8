"""The cluster of a scenario: brokers, the network to them, three nodes, and the clients with their checker."""

import asyncio
import tempfile
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, fields
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

from tests.bench.soak.checkers import CheckerProcess
from tests.bench.soak.load import MEMBERS, NODES
from tests.bench.soak.netns import Namespace
from tests.bench.soak.nodes import SoakNode
from tests.bench.soak.relays import RelayProcess
from tests.support.broker import BrokerProcess
from tests.support.cluster_nodes import wait_counts
from tests.support.keys import KeyFolder
from tests.support.nats_server import NatsCluster
from tests.support.node_config import NodeConfig
from tests.support.ports import free_port, free_port_block
from zmqio.config import BusOptions

__all__ = ["NAMES", "Setup", "Testbed"]

NAMES = ("one", "two", "three")
PING_INTERVAL_S = 600
"""Heartbeat of the clients; long, so that a suspended node does not lose them."""


@dataclass(frozen=True, slots=True)
class Setup:
    """The cluster that a scenario requires.

    Attributes:
        brokers: number of brokers.
        way: how nodes reach the broker. `direct`; all through a TCP `relay` to the first broker; or over a link
            that can be set down, with one `node` or the `broker` in a separate network namespace.
        keys: whether the brokers require keys (CURVE).
        nats: number of NATS servers in place of brokers; each node first connects to another one. With the way
            `relay`, the route between the two servers goes through the relay.
        bus: options of `ZmqAdapter`. Options that this release does not have are ignored and reported.
    """

    brokers: int = 1
    way: Literal["direct", "relay", "node in netns", "broker in netns"] = "direct"
    keys: bool = False
    nats: int = 0
    bus: dict[str, Any] = field(default_factory=dict)

    def known(self) -> dict[str, Any]:
        """Return the options that this release has."""
        names = {one.name for one in fields(BusOptions)}
        return {name: value for name, value in self.bus.items() if name in names}

    def unknown(self) -> list[str]:
        """Return the options that this release does not have."""
        return sorted(set(self.bus) - set(self.known()))


class Testbed:
    """A running cluster: all nodes know each other, and all clients are in their rooms. Use it with `async with`.

    Args:
        setup: the required cluster.
        per_second: messages of all nodes together.
        longest_s: longest time of the load, in seconds.

    Attributes:
        brokers, nodes, checker, relay, netns, nats: the parts; the last three only if required.
        base_ns: zero of the checker's times.
        kept: (client, room) of each later join that is kept to the end.
        notes: remarks for the reader of the report.
    """

    checker: CheckerProcess

    def __init__(self, setup: Setup, *, per_second: float, longest_s: float) -> None:
        self.setup = setup
        self.per_second = per_second
        self.brokers: list[BrokerProcess] = []
        self.nodes: list[SoakNode] = []
        self.relay: RelayProcess | None = None
        self.netns: Namespace | None = None
        self.nats: NatsCluster | None = None
        self.base_ns = time.monotonic_ns()
        self.kept: set[tuple[int, int]] = set()
        self.notes: list[str] = []
        self.capacity = int(per_second / NODES * longest_s) + 1_000
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> "Testbed":
        try:
            await self._set_up()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    @property
    def living(self) -> list[SoakNode]:
        """The nodes that have not been killed."""
        return [node for node in self.nodes if node.killed_ns is None]

    async def emit(self) -> None:
        """Make every node emit its share."""
        await asyncio.gather(*(node.do("emit", per_second=self.per_second / NODES) for node in self.living))

    async def stop(self) -> None:
        """Make all nodes stop emitting."""
        await asyncio.gather(*(node.do("stop") for node in self.living))

    async def _set_up(self) -> None:
        if self.setup.way.endswith("netns"):
            self.netns = self._stack.enter_context(Namespace())
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="zmqio-soak-")))
        keys = KeyFolder(folder) if self.setup.keys else None
        if self.setup.nats:
            await self._start_nats()
        self.brokers = (
            []
            if self.setup.nats
            else [
                BrokerProcess("--insecure", address=address, before=self._before("broker"), keys=keys)
                for address in self._broker_addresses()
            ]
        )
        addresses = [broker.address for broker in self.brokers]
        if self.setup.way == "relay" and not self.setup.nats:
            self.relay = await self._stack.enter_async_context(RelayProcess(addresses[0]))
            addresses[0] = self.relay.address
        # Nodes take longer to start than brokers, so all start at the same time.
        self._spawn_nodes([",".join(addresses)] if addresses else self._nats_addresses(), folder, keys)
        for broker in self.brokers:
            await self._stack.enter_async_context(broker)
        self.checker = await self._stack.enter_async_context(CheckerProcess())
        await wait_counts(self.nodes, NODES)
        for node in self.nodes:
            await node.learn_id()
        clients = [(client, self.nodes[node].port, rooms) for client, (node, rooms) in MEMBERS.items()]
        await self.checker.connect(clients, self.capacity, self.base_ns)

    async def _start_nats(self) -> None:
        """Start the servers. The relay leads to the port for routes of the second one; the first one knows it."""
        if self.setup.way == "relay":
            port = free_port()
            self.relay = await self._stack.enter_async_context(RelayProcess(f"tcp://127.0.0.1:{port}"))
            self.nats = NatsCluster(
                2, route_port=int(self.relay.address.rpartition(":")[2]), route_ports=[free_port(), port]
            )
        else:
            self.nats = NatsCluster(self.setup.nats)
        for server in self.nats.servers:
            self._stack.callback(server.kill)
            await asyncio.to_thread(server.start)
        await asyncio.to_thread(self.nats.wait_complete)

    def _nats_addresses(self) -> list[str]:
        assert self.nats is not None
        return list(self.nats.addresses)

    def _broker_addresses(self) -> list[str | None]:
        if self.netns is None:
            return [None] * self.setup.brokers
        host = self.netns.there if self.setup.way == "broker in netns" else self.netns.here
        return [f"tcp://{host}:{free_port_block(4)}" for _ in range(self.setup.brokers)]

    def _before(self, who: str, index: int = NODES - 1) -> list[str]:
        inside = self.netns is not None and self.setup.way == f"{who} in netns" and index == NODES - 1
        return self.netns.command if inside and self.netns is not None else []

    def _spawn_nodes(self, addresses: list[str], folder: Path, keys: KeyFolder | None) -> None:
        environment = keys.node_environment if keys else {}
        options = {"ping_interval_s": PING_INTERVAL_S}
        for index, name in enumerate(NAMES):
            config = NodeConfig(
                name,
                adapter=addresses[index % len(addresses)],
                options=options,
                bus=self.setup.known(),
                environment=environment,
            )
            before = self._before("node", index)
            node = SoakNode(config, index=index, folder=folder, capacity=self.capacity, before=before)
            self.nodes.append(node)
            self._stack.push_async_callback(node.end)
            node.spawn()
