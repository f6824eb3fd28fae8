"""Reads the metrics of all nodes over the bus, and the statistics of the brokers, without being a node.

An observer sends no heartbeats, so no node counts it or waits for it. It connects again after a broker restart.
"""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from zmqio.adapter.bus import Bus
from zmqio.buses import MakeMonitor
from zmqio.exceptions import EnvelopeError
from zmqio.ids import NodeId, make_node_id, make_node_tag
from zmqio.protocol.envelope import decode, encode
from zmqio.protocol.messages import Envelope, FetchMetrics, MessageId, Response
from zmqio.protocol.topic import all_topic, inbox_topic
from zmqio.protocol.values import unpack_list

__all__ = ["BrokerView", "ClusterObserver", "NodeView", "Reading"]

FORGET_AFTER_S = 10.0
"""Seconds without an answer after which a node is no longer shown."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Values at one moment.

    Attributes:
        at_s: the time.
        values: the sum over all labels of each metric, or a counter of the broker.
    """

    at_s: float
    values: Mapping[str, float]


@dataclass(slots=True)
class NodeView:
    """One node: its last two readings.

    Attributes:
        host, pid: its process.
        latest, previous: the readings; the same one after the first answer.
        request_id: the request that the latest one answers.
    """

    host: str
    pid: int
    latest: Reading
    previous: Reading
    request_id: int


@dataclass(slots=True)
class BrokerView:
    """One broker: its last two readings.

    Attributes:
        address: its base address.
        problem: why it does not respond; empty if it does.
        connected: number of its connections to nodes and senders.
        latest, previous: the readings; None before the first response.
        server: release and number of NATS servers; empty for a broker.
    """

    address: str
    problem: str = "no answer yet"
    connected: int = 0
    latest: Reading | None = field(default=None)
    previous: Reading | None = field(default=None)
    server: str = ""


class ClusterObserver:
    """Observes one cluster (`BusEvents`). To be created in the running event loop.

    Args:
        bus: receives the answers of the nodes.
        monitors: makes the monitor of each broker, by its address.
        prefix: that of the nodes.
        now: seconds of any steady clock.

    Attributes:
        nodes: the nodes that have answered lately.
        brokers: the brokers.
    """

    def __init__(
        self,
        bus: Bus,
        monitors: Mapping[str, MakeMonitor],
        prefix: str,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.nodes: dict[NodeId, NodeView] = {}
        self.brokers = [BrokerView(address) for address in monitors]
        self._now = now
        self._id = make_node_id(make_node_tag())
        self._inbox = inbox_topic(prefix, self._id)
        self._all = all_topic(prefix)
        self._bus = bus
        self._request_id = 0
        self._changed = asyncio.Event()
        self._monitors = [monitors[view.address](partial(self._broker_answered, view)) for view in self.brokers]

    @property
    def expected_nodes(self) -> int:
        """The largest number of nodes that any node knows, itself included."""
        return int(max((view.latest.values.get("zmqio_nodes", 0) for view in self.nodes.values()), default=0))

    async def start(self) -> None:
        """Begin to connect."""
        await self._bus.start(self)
        self._bus.subscribe((self._inbox,))

    async def close(self) -> None:
        """Disconnect."""
        for monitor in self._monitors:
            monitor.close()
        await self._bus.close()

    def ask(self) -> None:
        """Ask all nodes and brokers, and forget the nodes that have not answered for a while."""
        oldest = self._now() - FORGET_AFTER_S
        self.nodes = {node: view for node, view in self.nodes.items() if view.latest.at_s > oldest}
        self._request_id += 1
        self._send()
        self._ask_monitors()

    def note_problems(self) -> None:
        """Note for each broker why it does not respond."""
        for view, monitor in zip(self.brokers, self._monitors, strict=True):
            view.problem = monitor.problem or ("" if view.latest else "no answer yet")

    async def wait_for_all(self, limit_s: float, required: int = 1) -> bool:
        """Wait until all brokers and all nodes, as many as any node knows, have answered the last request.

        Args:
            limit_s: longest wait.
            required: number of nodes that must have answered.

        Returns:
            False if `limit_s` has passed before.
        """
        try:
            async with asyncio.timeout(limit_s):
                while not self._is_complete(required):
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return False
        return True

    # `BusEvents`.

    def message_received(self, _link: int, _topic: bytes, body: bytes) -> None:
        """Note the answer of a node. Anything else that this release cannot read is ignored."""
        try:
            (node_id, *_), message = decode(body)
            if isinstance(message, Response):
                self._node_answered(node_id, message.request_id, unpack_list(message.part))
        except (EnvelopeError, ValueError, TypeError):
            return

    def link_connected(self, _link: int) -> None:
        """Ask again: the nodes may not have received the last request."""
        if self._request_id:
            self._send()
            self._ask_monitors()

    def inbox_departed(self, _link: int, _topic: bytes) -> None:
        """Do nothing: a node that does not answer is forgotten."""

    def link_lost(self, _link: int) -> None:
        """Note that there is no connection; the bus connects again."""
        self._ask_monitors()

    def link_writable(self, _link: int) -> None:
        """Do nothing: the next request follows."""

    def link_doubted(self, _link: int) -> None:
        """Do nothing: the next answers follow."""

    def link_overrun(self, _link: int) -> None:
        """Do nothing: the next answers follow."""

    def _send(self) -> None:
        message_id = MessageId(self._id, 0)
        self._bus.publish(self._all, encode(Envelope(message_id, FetchMetrics(self._request_id))))

    def _ask_monitors(self) -> None:
        for monitor in self._monitors:
            monitor.ask()

    def _node_answered(self, node_id: NodeId, request_id: int, rows: Iterable[Any]) -> None:
        (host, pid), *samples = rows
        values: dict[str, float] = {}
        for metric, value, _, suffix in samples:
            values[metric + suffix] = values.get(metric + suffix, 0) + float(value)
        reading = Reading(self._now(), values)
        known = self.nodes.get(node_id)
        if known is not None and known.request_id == request_id:
            return  # the same answer through another broker
        previous = reading if known is None else known.latest
        self.nodes[node_id] = NodeView(str(host), int(pid), reading, previous, request_id)
        self._changed.set()

    def _broker_answered(self, view: BrokerView, statistics: Mapping[str, Any]) -> None:
        if not statistics:
            view.latest = view.previous = None
            return
        values = {name: value for name, value in statistics.items() if isinstance(value, int | float)}
        reading = Reading(self._now(), values)
        view.previous = view.latest or reading
        view.latest = reading
        view.problem = ""
        view.server = str(statistics.get("server", ""))
        if peers := statistics.get("peers"):
            view.connected = sum(peers[role]["connected"] for role in ("subscribe", "ingest"))
        self._changed.set()

    def _is_complete(self, required: int) -> bool:
        answered = sum(view.request_id == self._request_id for view in self.nodes.values())
        brokers = all(view.latest is not None for view in self.brokers)
        return brokers and answered >= max(required, self.expected_nodes)
