"""The subscribe barrier: acknowledges subscriptions, so that a node knows when all its others are applied.

A node subscribes to what it needs and then to the topic `0xff "sync-" <16-byte id>`. The broker's XPUB applies
what one connection asks for in order and hands it to the XSUB, which tells every publisher; the thread here is
one of those publishers (an XPUB, so that it can read what it is told). Once it reads a sync topic, everything
before it is in force, and it answers with a message on that very topic: one frame, the topic and then the 8-byte
epoch of this run.

Only subscriptions travel up to a publisher, never messages: a message from outside that starts with 0x00 or
0x01, as a subscription does, cannot be seen here. The other way to see subscriptions is a capture socket of the
proxy; it carries both directions, and it costs a copy of every message (measured with tests/bench/broker_cpu:
1.33 times the CPU of the bare proxy, against about 1.05 this way).
"""

import structlog
import zmq

__all__ = ["EPOCH_BYTES", "SYNC_ID_BYTES", "SYNC_TOPIC_PREFIX", "Acknowledger", "sync_topic"]

SYNC_TOPIC_PREFIX = b"\xffsync-"
"""0xff, because subscriptions are replayed in byte order after a reconnect: the sync topic has to come last."""
SYNC_ID_BYTES = 16
EPOCH_BYTES = 8

# Source: ZMTP 3.0, rfc.zeromq.org/spec/23: a subscription is 0x01 and the topic, its end 0x00 and the topic.
_SUBSCRIBE = b"\x01"
_SYNC_SUBSCRIPTION = _SUBSCRIBE + SYNC_TOPIC_PREFIX
_SYNC_SUBSCRIPTION_BYTES = len(_SYNC_SUBSCRIPTION) + SYNC_ID_BYTES
_LOGGED_TOPIC_BYTES = 120

log = structlog.get_logger(__name__)


def sync_topic(frame: bytes) -> bytes | None:
    """Return the sync topic that a frame from below subscribes to; None for anything else."""
    if len(frame) == _SYNC_SUBSCRIPTION_BYTES and frame.startswith(_SYNC_SUBSCRIPTION):
        return frame[len(_SUBSCRIBE) :]
    return None


class Acknowledger:
    """Reads subscriptions and publishes acknowledgements.

    Args:
        publisher: an XPUB on the data path.
        epoch: 8 bytes, of this run of the broker.
        logs_subscriptions: whether each is logged, at DEBUG.

    Attributes:
        acknowledged: how many subscriptions to sync topics have been acknowledged.
    """

    def __init__(self, publisher: zmq.Socket[bytes], epoch: bytes, *, logs_subscriptions: bool = False) -> None:
        self.acknowledged = 0
        self._publisher = publisher
        self._epoch = epoch
        self._logs_subscriptions = logs_subscriptions

    def run(self) -> None:
        """Serve until the context is terminated."""
        while True:
            self.handle(self._publisher.recv())

    def handle(self, frame: bytes) -> None:
        """Acknowledge one frame from below, if it is a subscription to a sync topic."""
        topic = sync_topic(frame)
        if topic is not None:
            self._publisher.send(topic + self._epoch)
            self.acknowledged += 1
        elif self._logs_subscriptions:
            event = "subscription_added" if frame.startswith(_SUBSCRIBE) else "subscription_removed"
            log.debug(event, topic=repr(frame[1:_LOGGED_TOPIC_BYTES]))
