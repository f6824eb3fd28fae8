"""One process on the bus: what it says, what it asked, and where each message goes.

Owns the bus and its tasks. What is received reaches the adapter of its namespace, the open questions or the
presence, and none of them can publish what it received; what is about a client's request goes to the carrier.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable
from typing import Any, Protocol, TypeAlias, cast, get_args

import structlog

from zmqio.adapter.asker import Asker
from zmqio.adapter.base import Bus, Health, Identity, NodeEvents, TagClash
from zmqio.adapter.forwarding import Forwarding
from zmqio.adapter.incidents import Incidents
from zmqio.adapter.presence import Presence
from zmqio.adapter.reader import Reader
from zmqio.adapter.stamps import Stamps
from zmqio.config import BusOptions
from zmqio.exceptions import BusError, BusUnavailableError, MessageTooLargeError, ProtocolError
from zmqio.ids import NodeId
from zmqio.protocol import messages as m
from zmqio.protocol.envelope import encode
from zmqio.protocol.messages import Envelope, Message
from zmqio.protocol.publish import PublishRequest
from zmqio.protocol.relay_messages import RelayMessage
from zmqio.protocol.topic import all_topic, inbox_topic, owner_prefix
from zmqio.protocol.values import pack_values, unpack_values

__all__ = ["Branch", "Node"]

log = structlog.get_logger(__name__)

NOTHING = pack_values([])

_Namespaced: TypeAlias = (
    m.Broadcast
    | m.AckedBroadcast
    | m.JoinRooms
    | m.LeaveRooms
    | m.DisconnectSockets
    | m.ServerSideEmit
    | m.FetchSockets
    | m.FetchRooms
)

_Take: TypeAlias = Callable[[NodeId, Any, int, bytes], None]
"""Takes a message of one type: (sender, message, link, topic)."""


class Branch(Protocol):
    """The adapter of one namespace, as far as the node needs it."""

    def receive(self, message: Message, sender: NodeId) -> None:
        """Do what another node says."""

    def apply(self, request: PublishRequest) -> None:
        """Do what an outside service says."""


class Node:
    """One process on the bus.

    Args:
        identity: this run of this process.
        bus: the way to the others; belongs to the node from now on.
        options: prefix, times and limits.
        events: told who comes and goes.
        clock: gives the seconds of any steady clock.

    Attributes:
        asker: questions to other nodes.
        incidents: counts what went wrong.
        all_topic: the topic that every node hears.
        forwarding: the other nodes, one by one.
    """

    def __init__(
        self,
        identity: Identity,
        bus: Bus,
        options: BusOptions,
        events: NodeEvents,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.identity = identity
        self.options = options
        self.asker = Asker()
        self.incidents = Incidents(clock)
        self.all_topic = all_topic(options.prefix)
        self._inbox = inbox_topic(options.prefix, identity.node_id)
        self._bus = bus
        self._stamps = Stamps(identity.node_id)
        self._reader = Reader(identity.node_id, self.incidents, clock)
        self.forwarding = Forwarding(events, peers=lambda: self.peers, say=self._say, clock=clock)
        self._presence = Presence(
            identity,
            options,
            self.forwarding,
            self.incidents,
            clock=clock,
            send=self._send_unstamped,
            gone=self._node_gone,
            yield_tag=self._yield_tag,
        )
        self._takers = self._make_takers()
        self._branches: dict[str, Branch] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._living: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None
        self._left = False

    # Life.

    async def start(self) -> None:
        """Begin to connect, and to live; returns without waiting for a broker."""
        await self._bus.start(self)
        owner = owner_prefix(self.options.prefix, self.identity.tag)
        self._bus.subscribe((owner, self._inbox, self.all_topic))
        self._living = self.spawn(self._presence.live())

    async def settled(self, limit_s: float) -> TagClash | None:
        """Wait until it is known whether an older live node holds the same tag.

        Args:
            limit_s: longest time to wait for a broker. Without one nothing is known, and a clash that is found
                later makes this node leave the bus.
        """
        return await self._presence.settled(limit_s)

    async def close(self) -> None:
        """Say goodbye and stop. Questions that are still open end with what came."""
        self._leave("goodbye")
        tasks = [task for task in self._tasks if task is not self._closing]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await (self._closing or self._bus.close())

    def abandon(self) -> None:
        """Say goodbye and stop, without an event loop."""
        if not self._left:
            self._presence.say_goodbye("exit")
            self._left = True
        self._bus.abandon()

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run work in a task that ends with the node; what it raises is counted and logged once."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    # For adapters.

    def attach(self, namespace: str, branch: Branch) -> None:
        """Messages for `namespace` reach `branch` from now on."""
        self._branches[namespace] = branch

    def detach(self, namespace: str) -> None:
        """The namespace is not served any more."""
        self._branches.pop(namespace, None)

    @property
    def peers(self) -> Collection[NodeId]:
        """The other living nodes. A live view."""
        return () if self._left else self._presence.peers

    def subscribe(self, topics: Iterable[bytes]) -> Awaitable[None]:
        """Subscribe; done when the brokers have applied it."""
        return self._bus.subscribe(topics)

    def unsubscribe(self, topics: Iterable[bytes]) -> None:
        """Take subscriptions back."""
        self._bus.unsubscribe(topics)

    def publish(self, topic: bytes, message: Message) -> None:
        """Stamp a message and send it to the other nodes.

        Raises:
            BusError: it did not leave this process; counted and logged.
        """
        stamp = self._stamps.stamp(topic)
        try:
            self._check_on_bus()
            self._bus.publish(topic, encode(Envelope(stamp, message)))
        except (MessageTooLargeError, ProtocolError) as error:
            self._stamps.take_back(topic, stamp)
            self.incidents.report("publish_failed", error=type(error).__name__, reason=str(error))
            raise
        except BusError as error:
            self.incidents.report("publish_failed", error=type(error).__name__, reason=str(error))
            raise

    def answer(self, asker: NodeId, message: Message) -> None:
        """Send an answer to the inbox of one node; a failure is counted and logged: its asker has a time limit."""
        try:
            self.publish(inbox_topic(self.options.prefix, asker), message)
        except BusError:
            self.incidents.count("answers_lost")

    def health(self) -> Health:
        """Whether this node hears the others, and why not."""
        reasons = self._presence.reasons()
        if self._left and not reasons:
            reasons = ["the node has stopped"]
        connected = sorted(self._bus.connected_links)
        if not connected and not reasons:
            reasons = ["no broker is connected"]
        details = {
            "node_id": self.identity.node_id,
            "nodes": len(self.peers) + 1,
            "connected_brokers": connected,
            "ready_brokers": self._presence.ready_links(),
            "counters": {**self.incidents.counters, **self._bus.counters},
            "ignored_answers": dict(self.asker.requests.ignored),
        }
        return Health(not reasons, tuple(reasons), details)

    # `BusEvents`.

    def message(self, link: int, topic: bytes, body: bytes) -> None:
        """A message came; whatever it is, the node goes on."""
        try:
            if not self._reader.is_own(body):
                self._receive(link, topic, body)
            elif self._reader.is_heartbeat(body):
                self._presence.echo(link)
                self.forwarding.echo()
        except Exception as error:  # noqa: BLE001 - outer edge: one message must not stop the node
            self.incidents.report("bus_message_failed", link=link, bytes=len(body), exc_info=error)

    def lost(self, link: int) -> None:
        """The connection to a broker is gone."""
        self._presence.lost(link)

    def back(self, link: int) -> None:
        """A broker is there."""
        if not self._left:
            self._presence.connected()

    def _receive(self, link: int, topic: bytes, body: bytes) -> None:
        received = None if self._left else self._reader.read(topic, body)
        if received is None:
            return
        if isinstance(received, PublishRequest):
            branch = self._branches.get(received.namespace)
            if branch is not None:
                branch.apply(received)
            return
        # The hot path: one broadcast after the other. What is not listed is for a namespace.
        take = self._takers.get(type(received.message))
        if take is None:
            self._hand_over(received.stamp.node_id, cast(_Namespaced, received.message))
        else:
            take(received.stamp.node_id, received.message, link, topic)

    def _make_takers(self) -> "dict[type[Message], _Take]":
        asker, presence, forwarding = self.asker, self._presence, self.forwarding

        def carry(sender: NodeId, message: Any, _link: int, _topic: bytes) -> None:
            forwarding.heard(sender, message)

        return {
            **dict.fromkeys(get_args(RelayMessage), carry),
            m.Heartbeat: lambda sender, message, link, topic: presence.heartbeat(
                sender, message, link=link, to_me=topic == self._inbox
            ),
            m.Goodbye: lambda sender, message, link, topic: presence.goodbye(sender),
            m.Response: lambda sender, message, link, topic: asker.packed_part(
                message.request_id, sender, message.part, last=message.last
            ),
            m.AckCount: lambda sender, message, link, topic: asker.expect(
                message.request_id, sender, message.expected
            ),
            m.AckResponse: lambda sender, message, link, topic: asker.answer(
                message.request_id, sender, unpack_values(message.args)
            ),
        }

    def _hand_over(self, sender: NodeId, message: _Namespaced) -> None:
        branch = self._branches.get(message.namespace)
        if branch is not None:
            branch.receive(message, sender)
        elif isinstance(message, m.AckedBroadcast):
            self.answer(sender, m.AckCount(message.request_id, 0))
        elif (
            isinstance(message, m.FetchSockets | m.FetchRooms | m.ServerSideEmit)
            and message.request_id is not None
        ):
            # Nobody has to wait for a node that does not serve the namespace.
            self.answer(sender, m.Response(message.request_id, NOTHING, last=True))

    def _say(self, node_id: NodeId, message: RelayMessage) -> None:
        self.publish(inbox_topic(self.options.prefix, node_id), message)

    def _node_gone(self, node_id: NodeId, died: bool) -> None:
        self._reader.gone(node_id)
        self.asker.node_gone(node_id, died=died)

    # Leaving.

    def _yield_tag(self) -> None:
        self._leave("tag clash")
        self._closing = self.spawn(self._bus.close())

    def _leave(self, reason: str) -> None:
        if self._left:
            return
        self._presence.say_goodbye(reason)
        self.forwarding.give_up()
        self._left = True
        self.asker.give_up()
        if self._living is not None:
            self._living.cancel()

    def _send_unstamped(self, topic: bytes, message: Message) -> None:
        try:
            self._bus.publish(topic, encode(Envelope(self._stamps.unstamped(), message)))
        except BusError:
            # No heartbeat, no echo: `health` says so, and other nodes hear the silence.
            self.incidents.count("heartbeats_unsent")

    def _check_on_bus(self) -> None:
        if self._left:
            raise BusUnavailableError(str(self._presence.clash or "this node has stopped"))

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.incidents.count("tasks_failed")
            log.error("node_task_failed", exc_info=error)
