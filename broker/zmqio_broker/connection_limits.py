"""Finds the connections that make the broker's memory grow, from samples of the kernel's counters. Pure.

libzmq limits queues in messages and the size of one frame, not bytes or the frames of one message. Each limit here
compares the bytes of every connection with what the broker has processed since the last check. The numbers are
estimates that err in favour of a connection that sends, and against one that does not read.
"""

from collections.abc import Mapping

from zmqio_broker.connection_samples import ConnectionSample

__all__ = ["InputLimit", "QueueLimit", "RateLimit", "TopicLimit"]

Samples = Mapping[int, ConnectionSample]
"""Descriptor -> sample, of the connections of one endpoint."""

FRAME_OVERHEAD_BYTES = 64
"""Most bytes that the protocol adds to a frame, with keys."""
CONNECTION_OVERHEAD_BYTES = 1_024
"""Most bytes of a handshake, or of the heartbeats between two checks."""
TOPICS_FREED_S = 5.0
"""Time for the topics of a closed connection to be removed, before another one is closed."""


class _Growth:
    """The bytes that each connection has sent since the last check."""

    def __init__(self) -> None:
        self._received: dict[int, int] = {}

    def take(self, samples: Samples) -> dict[int, int]:
        """Return descriptor -> bytes."""
        grown = {}
        for descriptor, sample in samples.items():
            known = self._received.get(descriptor, 0)
            # Fewer than before: the descriptor belongs to a new connection.
            grown[descriptor] = sample.received - (known if known <= sample.received else 0)
        self._received = {descriptor: sample.received for descriptor, sample in samples.items()}
        return grown


class InputLimit:
    """Limits what one endpoint has read and not processed: parts of messages without an end, and queued messages.

    Args:
        max_bytes: limit for all connections of the endpoint together.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._growth = _Growth()
        self._held = 0
        self._sent_by: dict[int, int] = {}
        self._processed = self._frames = 0

    def find(self, samples: Samples, processed_bytes: int, frames: int) -> int | None:
        """Return the connection to close, if any: the one that has sent most since the endpoint was below half.

        Args:
            samples: of all connections.
            processed_bytes: bytes of messages that the endpoint has processed since the start.
            frames: their frames.
        """
        grown = self._growth.take(samples)
        processed, self._processed = processed_bytes - self._processed, processed_bytes
        new_frames, self._frames = frames - self._frames, frames
        overhead = FRAME_OVERHEAD_BYTES * new_frames + CONNECTION_OVERHEAD_BYTES * len(samples)
        self._held = max(0, self._held + sum(grown.values()) - processed - overhead)
        if self._held < self._max_bytes / 2:
            self._sent_by = {}
        self._sent_by = _add_growth(self._sent_by, grown)
        if self._held <= self._max_bytes or not self._sent_by:
            return None
        worst = max(self._sent_by, key=self._sent_by.__getitem__)
        self._held = max(0, self._held - self._sent_by.pop(worst))
        return worst


class RateLimit:
    """Limits what one connection sends over time.

    Args:
        burst_bytes: the connection may send so many bytes at once, and again after a pause.
        bytes_per_s: the connection may send so many bytes all the time.
        now: seconds on any steady clock.

    Attributes:
        used_bytes: part of `burst_bytes` that was used at the last call of `is_exceeded`.
    """

    def __init__(self, burst_bytes: int, bytes_per_s: float, now: float) -> None:
        self.used_bytes = 0.0
        self._burst_bytes = burst_bytes
        self._bytes_per_s = bytes_per_s
        self._received = self._settled = 0
        self._updated_at = now

    def settle(self, kept_bytes: int) -> None:
        """Stop counting topics that were cancelled in the meantime. Call it regularly.

        Args:
            kept_bytes: most bytes that remain of all that had been sent when this was last called.
        """
        self.used_bytes = min(self.used_bytes, kept_bytes + self._received - self._settled)
        self._settled = self._received

    def is_exceeded(self, received: int, now: float, late_s: float = 0.0) -> bool:
        """Whether the connection has sent too much.

        Args:
            received: bytes that it has sent since its start.
            now: seconds on the same clock.
            late_s: seconds by which this call is late; what it sent in this time need not have come all at once.
        """
        left = max(0.0, self.used_bytes - (now - self._updated_at - late_s) * self._bytes_per_s)
        self.used_bytes = max(0.0, left + received - self._received - late_s * self._bytes_per_s)
        self._received, self._updated_at = received, now
        return self.used_bytes > self._burst_bytes


class TopicLimit:
    """Limits the topics that all nodes together subscribe to.

    Args:
        max_bytes: largest size of all different topics.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._growth = _Growth()
        self._sent_by: dict[int, int] = {}
        self._waits_until = 0.0

    def find(self, samples: Samples, topic_bytes: int, now: float) -> int | None:
        """Return the connection to close, if any: the one that has sent most since the topics were below half.

        Args:
            samples: of all connections.
            topic_bytes: size of all different topics.
            now: seconds on a steady clock.
        """
        grown = self._growth.take(samples)
        self._sent_by = _add_growth(self._sent_by, grown) if topic_bytes >= self._max_bytes / 2 else {}
        if topic_bytes <= self._max_bytes or now < self._waits_until or not self._sent_by:
            return None
        self._waits_until = now + TOPICS_FREED_S
        worst = max(self._sent_by, key=self._sent_by.__getitem__)
        del self._sent_by[worst]
        return worst


def _add_growth(sent_by: Mapping[int, int], grown: Mapping[int, int]) -> dict[int, int]:
    return {descriptor: sent_by.get(descriptor, 0) + size for descriptor, size in grown.items()}


class _Queue:
    """An upper bound of what is queued for one connection, as if it subscribed to every topic."""

    def __init__(self, sent: int) -> None:
        self.sent = sent
        self.messages = self.bytes = 0.0

    def update(self, sample: ConnectionSample, new_bytes: int, new_frames: int, max_messages: int) -> None:
        drained, self.sent = sample.sent - self.sent, sample.sent
        if not sample.unsent or drained < 0:
            self.messages = self.bytes = 0.0
            return
        # libzmq drops messages to a full queue.
        share = min(1.0, (max_messages - self.messages) / new_frames) if new_frames else 0.0
        self.messages += share * new_frames
        self.bytes += share * new_bytes
        left = max(0.0, 1.0 - drained / self.bytes) if self.bytes else 0.0
        self.messages *= left
        self.bytes *= left


class QueueLimit:
    """Limits the bytes that are queued for one node that does not read.

    Args:
        max_bytes: the limit.
        max_messages: most messages that libzmq queues for a node.
    """

    def __init__(self, max_bytes: int, max_messages: int) -> None:
        self._max_bytes = max_bytes
        self._max_messages = max_messages
        self._queues: dict[int, _Queue] = {}
        self._out_bytes = self._out_frames = 0

    def find(self, samples: Samples, out_bytes: int, out_frames: int) -> list[int]:
        """Return the connections to close.

        Args:
            samples: of all connections.
            out_bytes: bytes forwarded to nodes since the start, before fan-out.
            out_frames: the frames that these were.
        """
        new_bytes, self._out_bytes = out_bytes - self._out_bytes, out_bytes
        new_frames, self._out_frames = out_frames - self._out_frames, out_frames
        known = self._queues
        self._queues = {fd: known.get(fd) or _Queue(sample.sent) for fd, sample in samples.items()}
        for descriptor, queue in self._queues.items():
            queue.update(samples[descriptor], new_bytes, new_frames, self._max_messages)
        return [descriptor for descriptor, queue in self._queues.items() if queue.bytes > self._max_bytes]
