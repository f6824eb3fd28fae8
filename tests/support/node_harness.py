"""One real node on a bus in memory, in a cluster that the test simulates."""

from collections import Counter

from tests.support.memory_bus import MemoryBus, MemoryNetwork
from tests.support.timing import wait_until
from zmqio.adapter.base import BusGap, Identity
from zmqio.cluster.node import Node
from zmqio.config import BusOptions
from zmqio.ids import NodeId, NodeTag
from zmqio.protocol import messages as m
from zmqio.protocol.envelope import decode, encode
from zmqio.protocol.messages import Envelope, Message, MessageId
from zmqio.protocol.publish import BodyKind, classify
from zmqio.protocol.topic import all_topic, inbox_topic

__all__ = ["ALL", "ME", "OPTIONS", "PEER", "SAME_TAG", "NodeEventLog", "NodeHarness"]

ME, PEER, SAME_TAG = NodeId("tag1AAAAAAAAAAA"), NodeId("tag2BBBBBBBBBBB"), NodeId("tag1CCCCCCCCCCC")
ALL = all_topic("zmqio")
OPTIONS = BusOptions(heartbeat_s=0.02, dead_after_s=1.0)
"""A simulated peer that sends one heartbeat lives so long: longer than the rest of a test takes."""


class NodeEventLog:
    """Records the events of a node about other nodes."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, ...]] = []
        self.gaps: list[BusGap] = []

    def node_joined(self, node_id: NodeId) -> None:
        self.seen.append(("joined", node_id))

    def node_left(self, node_id: NodeId, reason: str) -> None:
        self.seen.append(("left", node_id, reason))

    def bus_gap(self, gap: BusGap) -> None:
        self.gaps.append(gap)


class NodeHarness:
    """One real node on a network on which the test simulates its peers."""

    def __init__(
        self, links: int = 1, options: BusOptions = OPTIONS, *, configured: bool = False, packet_format: str = ""
    ) -> None:
        self.network = MemoryNetwork(links)
        self.bus: MemoryBus = self.network.bus("me", max_message_bytes=options.max_message_bytes)
        self.events = NodeEventLog()
        identity = Identity(ME, NodeTag("tag1"), configured, packet_format)
        self.node = Node(identity, self.bus, options, self.events)
        self._n: Counter[NodeId] = Counter()

    def sent(self, kind: type[Message]) -> list[tuple[bytes, Envelope]]:
        """The messages of one type that the node published, with their topics."""
        decoded = [
            (topic, decode(body)) for topic, body in self.network.log if classify(body) is BodyKind.ENVELOPE
        ]
        return [
            (topic, envelope)
            for topic, envelope in decoded
            if isinstance(envelope.message, kind) and envelope.id.node_id == ME
        ]

    def peer_sends(
        self, message: Message, topic: bytes = ALL, sender: NodeId = PEER, previous: int | None = 0
    ) -> None:
        """Publish a message as another node."""
        if previous is not None:
            self._n[sender] += 1
        self.network.inject(topic, encode(Envelope(MessageId(sender, self._n[sender], previous), message)))

    def peer_heartbeat(
        self, sender: NodeId = PEER, *, to_me: bool = False, started_at: float = 1.0, hello: bool = False
    ) -> None:
        """Publish a heartbeat as another node."""
        topic = inbox_topic("zmqio", ME) if to_me else ALL
        self.peer_sends(m.Heartbeat(hello, started_at, False, "far", 7, 1), topic, sender, None)

    async def ready(self) -> "NodeHarness":
        """Start the node and wait until its heartbeats come back."""
        await self.node.start()
        await wait_until(lambda: self.node.health().ready, "the echo")
        return self
