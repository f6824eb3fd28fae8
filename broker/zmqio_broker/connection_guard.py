"""Closes the connections that take too much of the broker's memory. Their peers connect again."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import structlog

from zmqio_broker.connection_limits import InputLimit, QueueLimit, TopicLimit
from zmqio_broker.connection_samples import ConnectionSample, peer_address, take_sample
from zmqio_broker.descriptors import close_connection
from zmqio_broker.options import BrokerOptions
from zmqio_broker.peers import PeerCounts

__all__ = [
    "LARGEST_MESSAGES",
    "MAX_INPUT_BYTES",
    "TOPIC_SHARES",
    "ConnectionGuard",
    "Progress",
]

MAX_INPUT_BYTES = 64 << 20
"""Most bytes that one endpoint may have read and not processed."""
LARGEST_MESSAGES = 8
"""Number of messages of the largest size that fit into this limit in any case."""
TOPIC_SHARES = 16
"""The topics of all nodes together may be so many times as large as what one node may send at once."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Progress:
    """Bytes and frames of messages that an endpoint has processed since the start."""

    bytes: int
    frames: int


@dataclass(frozen=True, slots=True)
class _Excess:
    descriptor: int
    role: str
    reason: str
    limit: int
    option: str = ""


class ConnectionGuard:
    """Applies the limits of `connection_limits` to the connections of one broker. Call it twice a second.

    Args:
        options: the limits.
        counts: the connections by role.
        sample: reads the counters of a connection.
        close: closes a connection.

    Attributes:
        closed: number of connections that were closed.
    """

    def __init__(
        self,
        options: BrokerOptions,
        counts: Mapping[str, PeerCounts],
        sample: Callable[[int], ConnectionSample | None] = take_sample,
        close: Callable[[int], None] = close_connection,
    ) -> None:
        self.closed = 0
        self._node_queue_bytes = options.node_queue_bytes
        self._counts = counts
        self._sample = sample
        self._close = close
        self._closing: defaultdict[str, set[int]] = defaultdict(set)
        self._max_input = max(MAX_INPUT_BYTES, LARGEST_MESSAGES * options.max_message_bytes)
        self._inputs = {role: InputLimit(self._max_input) for role in ("publish", "ingest", "control")}
        self._queues = QueueLimit(options.node_queue_bytes, options.node_queue_messages)
        self._max_topics = TOPIC_SHARES * options.subscription_bytes
        self._topics = TopicLimit(self._max_topics)

    def check(self, now: float, forwarded: Progress, processed: Mapping[str, Progress], topic_bytes: int) -> None:
        """Close the connections that exceed a limit now.

        Args:
            now: seconds on a steady clock.
            forwarded: messages sent to nodes, before fan-out.
            processed: messages received from connections of "publish", "ingest" and "control".
            topic_bytes: size of all topics that nodes subscribe to.
        """
        excesses = [*self._of_nodes(now, forwarded, topic_bytes), *self._of_senders(processed)]
        for excess in excesses:
            self.closed += 1
            facts: dict[str, object] = {"option": excess.option} if excess.option else {}
            log.warning(
                "connection_closed",
                endpoint=excess.role,
                peer=peer_address(excess.descriptor),
                reason=excess.reason,
                limit=excess.limit,
                **facts,
            )
            self._closing[excess.role].add(excess.descriptor)
            self._close(excess.descriptor)

    def _of_nodes(self, now: float, forwarded: Progress, topic_bytes: int) -> Iterator[_Excess]:
        nodes = self._samples("subscribe")
        for descriptor in self._queues.find(nodes, forwarded.bytes, forwarded.frames):
            reason = "the node does not read, and too much is queued for it"
            yield _Excess(descriptor, "subscribe", reason, self._node_queue_bytes, "--node-queue-bytes")
        largest = self._topics.find(nodes, topic_bytes, now)
        if largest is not None:
            reason = "all nodes subscribe to too many topics, and this one has sent most of them"
            yield _Excess(largest, "subscribe", reason, self._max_topics, "--subscription-bytes")

    def _of_senders(self, processed: Mapping[str, Progress]) -> Iterator[_Excess]:
        for role, limit in self._inputs.items():
            worst = limit.find(self._samples(role), processed[role].bytes, processed[role].frames)
            if worst is not None:
                reason = "a message of frames without an end, or more than the broker can forward"
                yield _Excess(worst, role, reason, self._max_input)

    def _samples(self, role: str) -> dict[int, ConnectionSample]:
        descriptors = self._counts[role].descriptors()
        self._closing[role] &= descriptors  # libzmq needs a moment to close a connection that was shut down
        samples = {descriptor: self._sample(descriptor) for descriptor in descriptors - self._closing[role]}
        return {descriptor: sample for descriptor, sample in samples.items() if sample is not None}
