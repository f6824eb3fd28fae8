"""Publishes the messages of this node, and keeps them for receivers that miss them.

The only module that publishes. Knows the bus, sequence numbers and the replay buffer; knows nothing of received
messages.
"""

from collections.abc import Callable, Collection
from typing import get_args

from zmqio.adapter.base import Identity
from zmqio.adapter.bus import Bus
from zmqio.cluster.delivery.replay_buffer import (
    MAX_PAGE_BYTES,
    MAX_PAGE_LOST_BYTES,
    MAX_PAGE_MESSAGES,
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
)
from zmqio.ids import NodeId
from zmqio.protocol.envelope import encode
from zmqio.protocol.messages import (
    BroadcastMessage,
    Envelope,
    Goodbye,
    Heartbeat,
    Message,
    MessageId,
    ReplayAnswer,
    ReplayRequest,
)
from zmqio.protocol.relay_messages import RelayMessage
from zmqio.protocol.topic import inbox_topic

__all__ = ["Outbox"]

ROW_OVERHEAD_BYTES = 32
"""Most bytes that a message takes in an answer, packed, beside its topic and body."""
_RELAYED = frozenset(get_args(RelayMessage))
_UNSENT_COUNTERS = {
    Heartbeat: "heartbeats_unsent",
    Goodbye: "goodbyes_unsent",
    ReplayRequest: "replay_requests_unsent",
    ReplayAnswer: "replay_answers_unsent",
}


class Outbox:
    """The outgoing messages of one node.

    Sequenced messages can be replayed, and wait for a broker while none is connected. Unsequenced messages
    (heartbeats, goodbyes, replay requests and answers) do neither.

    Args:
        identity: this node.
        bus: the bus to publish to.
        options: prefix and limits.
        diagnostics: counts and logs failures.
        clock: gives the seconds of any steady clock.

    Attributes:
        buffer: the messages sent lately.
    """

    def __init__(
        self,
        identity: Identity,
        bus: Bus,
        options: BusOptions,
        diagnostics: Diagnostics,
        clock: Callable[[], float],
    ) -> None:
        self.buffer = ReplayBuffer(options.replay_ring_bytes, options.replay_ring_s)
        self._page_limits = _page_limits(options)
        self._max_message_bytes = options.max_message_bytes - REPLAY_OVERHEAD_BYTES
        self._bus = bus
        self._options = options
        self._diagnostics = diagnostics
        self._clock = clock
        self._sequencer = Sequencer(identity.node_id)
        self._closed_reason: str | None = None
        self._expired = 0
        self._announced: tuple[float, int] | None = None

    @property
    def connected_links(self) -> Collection[int]:
        """The brokers that are connected."""
        return self._bus.connected_links

    @property
    def newest_number(self) -> int:
        """The number of the newest message."""
        return self.buffer.newest

    def close(self, reason: str) -> None:
        """Refuse to publish from now on: `publish` raises BusUnavailableError with `reason`."""
        self._closed_reason = reason

    def publish(self, topic: bytes, message: Message, *, may_wait: bool = True) -> int:
        """Number a message, send it to the other nodes, and keep it for those that miss it.

        If no broker accepts the message, it is kept until a broker does. A volatile broadcast is dropped instead,
        and counted. A broadcast that finds no room in the replay buffer is refused without an error. It has a
        number, so other nodes report it as lost.

        Args:
            topic: where to send it.
            message: the message.
            may_wait: False for a request, which is of no use later: it raises instead of waiting for a broker.

        Returns:
            The number of the message. If a volatile broadcast was dropped, the next message has the same number.

        Raises:
            BusUnavailableError: this node has left the bus, or the message may not wait for a broker.
            BusOverflowError: no broker accepts the message, and it may not wait; or the messages that no node can
                have received yet leave no room for it in the replay buffer.
            MessageTooLargeError: the message is over the limit.
            ProtocolError: the message has no wire form.
            Exception: the bus failed unexpectedly, perhaps after a broker accepted the message. The message stays
                in the replay buffer, so it may still arrive.
        """
        try:
            return self._publish(topic, message, may_wait=may_wait)
        except Exception as error:
            self._report_failure(error)
            raise

    def send_to(self, node_id: NodeId, message: Message) -> None:
        """Publish a message to the inbox of one node. Raises as `publish`."""
        self.publish(inbox_topic(self._options.prefix, node_id), message)

    def respond(self, node_id: NodeId, message: Message) -> None:
        """Send a response to one node. A failure is logged and counted; the requester has a time-out."""
        try:
            self.send_to(node_id, message)
        except BusError:
            self._diagnostics.count("responses_unsent")

    def send_unsequenced(self, topic: bytes, message: Message, *, link: int | None = None) -> bool:
        """Send an unsequenced message by all links, or by one. Returns False, and counts it, if none accepted it.

        Heartbeats carry the highest sequence number, so receivers request the messages that they missed. Messages
        that heartbeats have announced for `dead_after_s`, without the loss of a link, are no longer held.
        """
        try:
            sent = self._bus.publish(topic, encode(Envelope(self._sequencer.unsequenced_id(), message)), link=link)
        except Exception as error:  # noqa: BLE001 - one failure must not end the task that sends heartbeats
            self._report_failure(error)
            return False
        if not sent:
            # A missing heartbeat has no echo: `health` reports it, and the other nodes notice the silence.
            self._diagnostics.count(_UNSENT_COUNTERS.get(type(message), "messages_unsent"))
        elif isinstance(message, Heartbeat):
            self._note_heartbeat_sent()
        return bool(sent)

    def link_lost(self) -> None:
        """Note the loss of a link: unsent messages may need longer to reach all nodes (see `send_unsequenced`)."""
        self._announced = None

    def expire(self) -> None:
        """Drop messages that are too old; log and count those that no broker ever accepted."""
        self.buffer.expire(self._clock())
        expired = self.buffer.dropped_unsent - self._expired
        if expired:
            self._expired += expired
            self._diagnostics.report("unsent_messages_expired", messages=expired, brokers=self._bus.brokers)

    def report_unsent(self) -> None:
        """Log and count the messages that no broker has accepted, as this node stops."""
        if self.buffer.unsent:
            self._diagnostics.report(
                "unsent_messages_dropped", messages=self.buffer.unsent, brokers=self._bus.brokers
            )

    def page_sent(self, page: ReplayPage) -> None:
        """Note that a page is on its way to another node, so that its messages need not be held any longer."""
        if page.messages or page.complete:
            self.buffer.release(page.upto)

    def page(self, after: int, wanted: Callable[[bytes], bool], max_age_s: float) -> ReplayPage:
        """Collect the messages after a number, as many as fit in one answer: see `ReplayBuffer.page`."""
        self.expire()
        return self.buffer.page(after, wanted, max_age_s=max_age_s, now=self._clock(), limits=self._page_limits)

    def newest_page(self, after: int, wanted: Callable[[bytes], bool], max_age_s: float) -> ReplayPage:
        """Collect the newest message of each topic after a number: see `ReplayBuffer.newest_page`."""
        now = self._clock()
        return self.buffer.newest_page(after, wanted, max_age_s=max_age_s, now=now, limits=self._page_limits)

    @property
    def bytes_published(self) -> int:
        """The bytes of all messages published so far, each counted once."""
        return self._diagnostics.counters["bytes_published"]

    def _publish(self, topic: bytes, message: Message, *, may_wait: bool) -> int:
        message_id = self._sequencer.next_id(topic)
        try:
            body = self._encode(topic, Envelope(message_id, message))
            has_room = self.buffer.has_room(len(topic) + len(body))
            may_send = has_room or not self.buffer.is_holding
            self.buffer.add(message_id.n, topic, body, self._clock())
        except BaseException:
            self._sequencer.rollback(topic, message_id)
            raise
        # The number is taken. It is given back only if it is certain that no broker has the message.
        try:
            sent = self._bus.publish(topic, body) if may_send else 0
            is_refused = not sent and not has_room and self._refuse(message)
            is_kept = sent > 0 or is_refused or self._may_wait(message, may_wait=may_wait, has_room=has_room)
        except BusError:
            self._give_back(topic, message_id)
            raise
        except BaseException:
            self.buffer.hold_newest()
            raise
        self._settle(topic, message_id, is_sent=sent > 0, is_kept=is_kept)
        if is_kept and type(message) in _RELAYED:
            self.buffer.mark_relayed()
        if is_kept and not is_refused:
            self._diagnostics.counters["messages_published"] += 1
            self._diagnostics.counters["bytes_published"] += len(topic) + len(body)
        return message_id.n

    def _encode(self, topic: bytes, envelope: Envelope) -> bytes:
        if self._closed_reason is not None:
            raise BusUnavailableError(self._closed_reason)
        body = encode(envelope)
        size_bytes = len(topic) + len(body)
        if size_bytes > self._max_message_bytes:
            raise MessageTooLargeError(size_bytes, self._max_message_bytes)
        return body

    def _settle(self, topic: bytes, message_id: MessageId, *, is_sent: bool, is_kept: bool) -> None:
        if not is_kept:
            self._give_back(topic, message_id)
            return
        if is_sent:
            self.buffer.mark_sent()
        else:
            self.buffer.hold_newest()
        self.buffer.trim()

    def _give_back(self, topic: bytes, message_id: MessageId) -> None:
        self.buffer.remove_newest()
        self._sequencer.rollback(topic, message_id)

    def _note_heartbeat_sent(self) -> None:
        now = self._clock()
        if self._announced is None:
            self._announced = now, self.buffer.newest
        since, upto = self._announced
        if now - since >= self._options.dead_after_s:
            self.buffer.release(upto)
            self._announced = now, self.buffer.newest

    def _may_wait(self, message: Message, *, may_wait: bool, has_room: bool) -> bool:
        """Whether to keep a message that no broker accepted; raises if it may neither wait nor be dropped."""
        if isinstance(message, BroadcastMessage) and message.volatile:
            self._diagnostics.count("volatile_bus_messages_dropped")
            return False
        if not may_wait and not self._bus.connected_links:
            raise BusUnavailableError(f"no broker is connected; tried: {self._bus.brokers}")
        if not may_wait or not has_room:
            raise BusOverflowError(self.buffer.held, self._options.replay_ring_bytes)
        waiting = self.buffer.unsent + 1
        self._diagnostics.report("message_queued", waiting_messages=waiting, brokers=self._bus.brokers)
        return True

    def _refuse(self, message: Message) -> bool:
        """Refuse a broadcast, for which the buffer has no room; False if the caller has to know about it."""
        if not isinstance(message, BroadcastMessage) or message.volatile or not self.buffer.refuse_newest():
            return False
        limit, option = self._options.replay_ring_bytes, "replay_ring_bytes"
        self._diagnostics.report("broadcasts_refused", limit=limit, option=option, brokers=self._bus.brokers)
        return True

    def _report_failure(self, error: Exception) -> None:
        self._diagnostics.report("publish_failed", error=type(error).__name__, reason=str(error))


def _page_limits(options: BusOptions) -> ReplayPageLimits:
    """Limits with which a whole answer fits in one message."""
    share = options.max_message_bytes - REPLAY_OVERHEAD_BYTES
    return ReplayPageLimits(
        messages=min(MAX_PAGE_MESSAGES, max(1, share // (4 * ROW_OVERHEAD_BYTES))),
        size_bytes=min(MAX_PAGE_BYTES, share // 4),
        lost_bytes=min(MAX_PAGE_LOST_BYTES, share // 4),
    )
