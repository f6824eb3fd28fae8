"""Routes everything that arrives from the bus: messages to their receivers, and the states of links.

A received message reaches the adapter of its namespace, the pending responses, presence, reliable delivery or the
relay. No receiver can publish what it received.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Protocol, TypeAlias, get_args

from zmqio.cluster.decoder import MessageDecoder
from zmqio.cluster.delivery.outbox import Outbox
from zmqio.cluster.delivery.reliable_delivery import Arrival, ReliableDelivery
from zmqio.cluster.diagnostics import Diagnostics
from zmqio.cluster.presence import Presence
from zmqio.cluster.requests.waiting import PendingResponses
from zmqio.cluster.unicast import Unicast
from zmqio.exceptions import EnvelopeError, TopicError
from zmqio.ids import NodeId
from zmqio.protocol import messages as m
from zmqio.protocol.messages import Envelope, FetchMetrics, Message, MessageId
from zmqio.protocol.publish import PublishRequest
from zmqio.protocol.recovery_messages import MissedPacketsRequest, RecoveryMessage, SessionRequest
from zmqio.protocol.relay_messages import RelayMessage
from zmqio.protocol.topic import parse as parse_topic
from zmqio.protocol.values import pack_values, unpack_list

__all__ = ["GoodbyeEchoes", "Inbound", "NamespaceReceiver", "RecoveryReceiver"]

NO_VALUES = pack_values([])

_NamespaceMessage: TypeAlias = (
    m.BroadcastMessage
    | m.TracedBroadcast
    | m.AckedBroadcast
    | m.JoinRooms
    | m.LeaveRooms
    | m.DisconnectSockets
    | m.ServerSideEmit
    | m.TracedServerSideEmit
    | m.FetchSockets
    | m.FetchRooms
)

_Handler: TypeAlias = Callable[[MessageId, Any], None]
"""Handles messages of one type: (message id, message)."""


class NamespaceReceiver(Protocol):
    """The adapter of one namespace, as far as received messages need it."""

    def receive(self, message: Message, sender: NodeId, number: int) -> None:
        """Apply a message of another node, which has this sequence number."""

    def apply(self, request: PublishRequest) -> None:
        """Apply a request of an outside service."""


class RecoveryReceiver(Protocol):
    """The recovery of sessions of this node, as far as received messages need it."""

    def received(self, sender: NodeId, message: RecoveryMessage) -> None:
        """Process a message of another node."""

    def node_left(self, node_id: NodeId, *, died: bool) -> None:
        """Another node has left the bus."""


class GoodbyeEchoes:
    """The links through which this node's own goodbye has come back.

    The goodbye is the last message, so everything before it has reached those brokers.

    Attributes:
        links: their indexes.
    """

    def __init__(self) -> None:
        self.links: set[int] = set()
        self._changed = asyncio.Event()

    def add(self, link: int) -> None:
        """Note an echo."""
        self.links.add(link)
        self._changed.set()

    def link_lost(self) -> None:
        """Wake the waiter: a lost link brings no echo."""
        self._changed.set()

    async def changed(self) -> None:
        """Wait for the next echo or lost link."""
        self._changed.clear()
        await self._changed.wait()


class Inbound:
    """The receiving side of one node (`BusEvents`).

    Args:
        inbox: the topic of this node's inbox.
        decoder: decodes messages.
        delivery: decides which messages to deliver, and requests those that are missing.
        presence: receives heartbeats and goodbyes.
        unicast: receives messages between single nodes.
        responses: receives responses.
        outbox: sends empty responses for namespaces that this node does not serve.
        diagnostics: counts and logs failures.

    Attributes:
        closed: whether received messages are dropped, because this node has left the bus.
        goodbye_echoes: where this node's own goodbye has come back.
        recovery: answers requests for sessions; None if this node does not recover sessions.
    """

    def __init__(
        self,
        inbox: bytes,
        decoder: MessageDecoder,
        *,
        delivery: ReliableDelivery,
        presence: Presence,
        unicast: Unicast,
        responses: PendingResponses,
        outbox: Outbox,
        diagnostics: Diagnostics,
    ) -> None:
        self.closed = False
        self.goodbye_echoes = GoodbyeEchoes()
        self.recovery: RecoveryReceiver | None = None
        self._inbox = inbox
        self._decoder = decoder
        self._delivery = delivery
        self._outbox = outbox
        self._diagnostics = diagnostics
        self._presence = presence
        self._unicast = unicast
        self._namespaces: dict[str, NamespaceReceiver] = {}
        self._handlers = self._make_handlers(responses)
        delivery.attach(self._deliver_queued)

    def attach(self, namespace: str, receiver: NamespaceReceiver) -> None:
        """Pass messages for `namespace` to `receiver` from now on."""
        self._namespaces[namespace] = receiver

    def detach(self, namespace: str) -> None:
        """Stop serving a namespace."""
        self._namespaces.pop(namespace, None)

    def answer_observers(self, answer: Callable[[NodeId, FetchMetrics], None]) -> None:
        """Pass requests for the metrics of this node to `answer`."""
        self._handlers[FetchMetrics] = lambda id_, message: answer(id_.node_id, message)

    def close(self) -> None:
        """Drop all messages that are queued or arrive from now on; the node still notices its own goodbye."""
        self.closed = True
        self._delivery.clear()

    # `BusEvents`.

    def message_received(self, link: int, topic: bytes, body: bytes) -> None:
        """Process a message. Never raises: a failure is logged and counted, and the node continues."""
        try:
            if self._decoder.is_own(body):
                self._own_message_returned(link, body)
                return
            received = None if self.closed else self._decoder.decode(topic, body)
            if received is None:
                return
            self._diagnostics.counters["messages_received"] += 1
            self._diagnostics.counters["bytes_received"] += len(topic) + len(body)
            if isinstance(received, PublishRequest):
                self._apply(received)
                return
            message_id, message = received
            if message_id.previous is None:
                self._receive_unsequenced(received, link, topic, body)
            elif self._delivery.accept(link, message_id, (topic, body)):
                self._handlers[type(message)](message_id, message)
        except EnvelopeError as error:
            self._diagnostics.report("bus_message_malformed", link=link, bytes=len(body), reason=str(error))
        except Exception as error:  # noqa: BLE001 - outer edge: one message must not stop the node
            self._diagnostics.report("bus_message_failed", link=link, bytes=len(body), exc_info=error)

    def inbox_departed(self, link: int, topic: bytes) -> None:
        """Check on a node whose inbox a broker reports as abandoned."""
        try:
            node_id = parse_topic(topic).node_id
        except TopicError as error:
            self._diagnostics.report("bus_message_malformed", link=link, bytes=len(topic), reason=str(error))
            return
        if node_id is not None and not self.closed:
            self._presence.departed(node_id, link)

    def link_lost(self, link: int) -> None:
        """Note that the connection to a broker was lost."""
        self._outbox.link_lost()
        self._presence.link_lost(link)
        self._delivery.link_lost(link)
        self.goodbye_echoes.link_lost()

    def link_connected(self, link: int) -> None:
        """Announce this node through a broker that is connected, and request the messages missed."""
        if not self.closed:
            self._presence.link_connected(link)
            self._delivery.link_connected(link)

    def link_writable(self, link: int) -> None:
        """Announce through a broker, whose queue was full, that messages are missing."""
        if not self.closed:
            self._presence.link_writable(link)

    def link_doubted(self, link: int) -> None:
        """Request messages that may have been lost on their way to this node."""
        if not self.closed:
            self._presence.link_doubted(link)
            self._delivery.link_doubted(link)

    def link_overrun(self, link: int) -> None:
        """Find messages that a broker may have dropped."""
        if not self.closed:
            self._delivery.link_overrun(link)

    # Private.

    def _own_message_returned(self, link: int, body: bytes) -> None:
        if self._decoder.is_heartbeat(body):
            self._presence.echo(link)
            self._unicast.echo()
        elif self.closed and self._decoder.is_goodbye(body):
            self.goodbye_echoes.add(link)

    def _receive_unsequenced(self, envelope: Envelope, link: int, topic: bytes, body: bytes) -> None:
        message_id, message = envelope
        sender = message_id.node_id
        match message:
            case m.Heartbeat():
                self._presence.heartbeat(sender, message, link=link, to_me=topic == self._inbox)
                if not self.closed and sender in self._presence.peers:
                    self._delivery.heartbeat(link, message_id, message.generation)
            case m.Goodbye():
                # A goodbye takes effect after the messages that its sender sent before it.
                if not self._delivery.defer_goodbye((topic, body)):
                    self._presence.goodbye(sender)
            case m.ReplayRequest():
                self._delivery.replay(sender, message, link=link, known=sender in self._presence.peers)
            case m.ReplayAnswer():
                self._delivery.answered(link, sender, message)
            case _:
                self._handlers[type(message)](message_id, message)

    def _deliver_queued(self, arrival: Arrival) -> None:
        """Deliver a message that was replayed, or was queued behind replayed ones. Never raises."""
        topic, body = arrival
        try:
            received = None if self.closed else self._decoder.decode(topic, body)
            match received:
                case Envelope(message_id, m.Goodbye()):
                    self._presence.goodbye(message_id.node_id)
                case Envelope(message_id, message):
                    self._handler_of_replayed(message)(message_id, message)
        except EnvelopeError as error:
            self._diagnostics.report("bus_message_malformed", bytes=len(body), reason=str(error))
        except Exception as error:  # noqa: BLE001 - outer edge: one message must not stop the node
            self._diagnostics.report("bus_message_failed", bytes=len(body), exc_info=error)

    def _handler_of_replayed(self, message: Message) -> _Handler:
        handler = self._handlers.get(type(message))
        if handler is None:
            raise EnvelopeError(f"a {type(message).__name__} cannot be replayed")
        return handler

    def _make_handlers(self, responses: PendingResponses) -> "dict[type[Message], _Handler]":
        return {
            **dict.fromkeys(get_args(_NamespaceMessage), self._to_namespace),
            **dict.fromkeys(get_args(RelayMessage), self._to_unicast),
            **dict.fromkeys(get_args(RecoveryMessage), self._to_recovery),
            m.Response: lambda id_, message: responses.add_batch(
                message.request_id, id_.node_id, message.part, last=message.last
            ),
            m.AckCount: lambda id_, message: responses.set_expected(
                message.request_id, id_.node_id, message.expected
            ),
            m.AckResponse: lambda id_, message: responses.add_response(
                message.request_id, id_.node_id, unpack_list(message.args)
            ),
        }

    def _to_unicast(self, message_id: MessageId, message: RelayMessage) -> None:
        self._unicast.received(message_id.node_id, message)

    def _to_recovery(self, message_id: MessageId, message: RecoveryMessage) -> None:
        if self.recovery is not None:
            self.recovery.received(message_id.node_id, message)
        elif isinstance(message, SessionRequest | MissedPacketsRequest):
            # An empty response, so that no node waits for one that does not recover sessions.
            self._outbox.respond(message_id.node_id, m.Response(message.request_id, NO_VALUES, last=True))

    def _to_namespace(self, message_id: MessageId, message: _NamespaceMessage) -> None:
        sender = message_id.node_id
        receiver = self._namespaces.get(message.namespace)
        if receiver is not None:
            receiver.receive(message, sender, message_id.n)
        elif isinstance(message, m.AckedBroadcast):
            self._outbox.respond(sender, m.AckCount(message.request_id, 0))
        elif (
            isinstance(message, m.FetchSockets | m.FetchRooms | m.ServerSideEmit)
            and message.request_id is not None
        ):
            # An empty response, so that no requester waits for a node that does not serve the namespace.
            self._outbox.respond(sender, m.Response(message.request_id, NO_VALUES, last=True))

    def _apply(self, request: PublishRequest) -> None:
        receiver = self._namespaces.get(request.namespace)
        if receiver is not None:
            receiver.apply(request)
