"""What this node says to the others: sequenced messages, which are kept for who misses them, and unsequenced ones.

The one place that publishes. Knows the bus, the sequence numbers and the ring; nothing of what comes back.
"""

from collections.abc import Callable, Collection

from zmqio.adapter.base import Bus, Identity
from zmqio.cluster.delivery.replay_buffer import (
    BYTES_IN_A_PAGE,
    LOST_BYTES_IN_A_PAGE,
    MESSAGES_IN_A_PAGE,
    ReplayBuffer,
    ReplayPage,
    ReplayPageLimits,
)
from zmqio.cluster.delivery.sequencer import Sequencer
from zmqio.cluster.diagnostics import Diagnostics
from zmqio.config import REPLAY_OVERHEAD_BYTES, BusOptions
from zmqio.exceptions import (
    BusError,
    BusOverflowError,
    BusUnavailableError,
    MessageTooLargeError,
    ProtocolError,
)
from zmqio.protocol.envelope import encode
from zmqio.protocol.messages import (
    BroadcastMessage,
    Envelope,
    Goodbye,
    Heartbeat,
    Message,
    ReplayAnswer,
    ReplayRequest,
)

__all__ = ["Outbox"]

ROW_OVERHEAD_BYTES = 32
"""What a message takes in an answer, packed, beside its topic and body, at most."""
_UNSENT = {
    Heartbeat: "heartbeats_unsent",
    Goodbye: "goodbyes_unsent",
    ReplayRequest: "replay_questions_unsent",
    ReplayAnswer: "replay_answers_unsent",
}


class Outbox:
    """The way out of one node.

    Args:
        identity: this node.
        bus: the way to the others.
        options: limits.
        incidents: counts what failed.
        clock: gives the seconds of any steady clock.

    Attributes:
        ring: what was sent, for a while.
    """

    def __init__(
        self,
        identity: Identity,
        bus: Bus,
        options: BusOptions,
        incidents: Diagnostics,
        clock: Callable[[], float],
    ) -> None:
        self.ring = ReplayBuffer(options.replay_ring_bytes, options.replay_ring_s)
        self._page_limits = _page_limits(options)
        self._bus = bus
        self._options = options
        self._incidents = incidents
        self._clock = clock
        self._sequencer = Sequencer(identity.node_id)
        self._shut: str | None = None
        self._expired = 0
        self._told_since: float | None = None

    @property
    def connected_links(self) -> Collection[int]:
        """The brokers that are connected."""
        return self._bus.connected_links

    def shut(self, reason: str) -> None:
        """Nothing is published any more; `reason` is what whoever tries is told."""
        self._shut = reason

    def publish(self, topic: bytes, message: Message) -> None:
        """Number a message, send it to the other nodes, and keep it for those that will miss it.

        While no broker takes it, it is only kept, and the other nodes get it when one does. A volatile broadcast
        is dropped then, and counted.

        Raises:
            BusOverflowError: no broker takes it, and what waits for one leaves no room for it.
            BusUnavailableError: this node has left the bus.
            MessageTooLargeError: it is over the limit.
        """
        self._publish(topic, message, waits=True)

    def ask(self, topic: bytes, message: Message) -> None:
        """Publish a question, which is of no use later: it does not wait for a broker.

        Raises:
            BusUnavailableError: no broker is connected, or this node has left the bus.
            BusOverflowError: no broker takes it now.
            MessageTooLargeError: it is over the limit.
        """
        self._publish(topic, message, waits=False)

    def tell(self, topic: bytes, message: Message, *, link: int | None = None) -> bool:
        """Send a message without a number, by all links or by one; False, and counted, if none took it.

        A heartbeat tells the others how much was sent, and they ask for what they miss. So when heartbeats were
        taken for `dead_after_s`, and no link was lost meanwhile, nothing waits for a broker any more.
        """
        try:
            sent = self._bus.publish(topic, encode(Envelope(self._sequencer.unsequenced_id(), message)), link=link)
        except BusError as error:
            self._incidents.report("publish_failed", error=type(error).__name__, reason=str(error))
        else:
            if not sent:
                # No heartbeat, no echo: `health` says so, and other nodes hear the silence.
                self._incidents.count(_UNSENT.get(type(message), "messages_unsent"))
            elif isinstance(message, Heartbeat):
                self._was_heard()
            return bool(sent)
        return False

    def link_lost(self) -> None:
        """A link is lost: who has not asked for what it missed may have to wait for longer."""
        self._told_since = None

    def expire(self) -> None:
        """Forget what is too old; count and tell what no broker has ever taken of it."""
        self.ring.expire(self._clock())
        expired = self.ring.dropped_unsent - self._expired
        if expired:
            self._expired += expired
            self._incidents.report("bus_expired_unsent", messages=expired, brokers=self._bus.brokers)

    def report_unsent(self) -> None:
        """This node stops: count and tell what no broker has taken, which nobody will get."""
        if self.ring.unsent:
            self._incidents.report("bus_unsent_at_close", messages=self.ring.unsent, brokers=self._bus.brokers)

    def page(self, after: int, wanted: Callable[[bytes], bool], max_age_s: float) -> ReplayPage:
        """Collect what was sent after a number, as much as one answer holds: see `ReplayBuffer.page`."""
        self.expire()
        return self.ring.page(after, wanted, max_age_s=max_age_s, now=self._clock(), limits=self._page_limits)

    def _was_heard(self) -> None:
        now = self._clock()
        if self._told_since is None:
            self._told_since = now
        if now - self._told_since >= self._options.dead_after_s:
            self.ring.taken()

    def _publish(self, topic: bytes, message: Message, *, waits: bool) -> None:
        message_id = self._sequencer.next_id(topic)
        try:
            if self._shut is not None:
                raise BusUnavailableError(self._shut)
            body = encode(Envelope(message_id, message))
            self._check_size(len(topic) + len(body))
            sent = self._bus.publish(topic, body)
            if not sent and not self._may_wait(len(topic) + len(body), message, waits=waits):
                self._sequencer.rollback(topic, message_id)
                return
        except (BusError, ProtocolError) as error:
            self._sequencer.rollback(topic, message_id)
            self._incidents.report("publish_failed", error=type(error).__name__, reason=str(error))
            raise
        self.ring.add(message_id.n, topic, body, self._clock(), sent=sent > 0)

    def _may_wait(self, size_bytes: int, message: Message, *, waits: bool) -> bool:
        """Whether a message that no broker took is kept for when one does."""
        if isinstance(message, BroadcastMessage) and message.volatile:
            self._incidents.count("volatile_dropped")
            return False
        if not waits and not self._bus.connected_links:
            raise BusUnavailableError(f"no broker is connected; tried: {self._bus.brokers}")
        if not waits or not self.ring.has_room(size_bytes):
            raise BusOverflowError(self.ring.unsent, self._options.replay_ring_bytes)
        self._incidents.report("bus_waits", waiting_messages=self.ring.unsent + 1, brokers=self._bus.brokers)
        return True

    def _check_size(self, size_bytes: int) -> None:
        limit = self._options.max_message_bytes - REPLAY_OVERHEAD_BYTES
        if size_bytes > limit:
            raise MessageTooLargeError(size_bytes, limit)


def _page_limits(options: BusOptions) -> ReplayPageLimits:
    """An answer, all of it, has to fit into one message."""
    share = options.max_message_bytes - REPLAY_OVERHEAD_BYTES
    return ReplayPageLimits(
        messages=min(MESSAGES_IN_A_PAGE, max(1, share // (4 * ROW_OVERHEAD_BYTES))),
        size_bytes=min(BYTES_IN_A_PAGE, share // 4),
        lost_bytes=min(LOST_BYTES_IN_A_PAGE, share // 4),
    )
