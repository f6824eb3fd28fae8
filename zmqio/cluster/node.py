"""One process on the bus: what it says, what it asked, and where each message goes.

Owns the bus and its tasks. What is received reaches the adapter of its namespace, the open questions or the
presence, and none of them can publish what it received; what is about a client's request goes to the carrier.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable
from typing import Any, Protocol, TypeAlias, cast, get_args

import structlog

from zmqio.adapter.base import Bus, Health, Identity, NodeEvents, TagClash
from zmqio.cluster.decoder import MessageDecoder
from zmqio.cluster.delivery.outbox import Outbox
from zmqio.cluster.delivery.reliable_delivery import Arrival, ReliableDelivery
from zmqio.cluster.diagnostics import Diagnostics
from zmqio.cluster.presence import Presence
from zmqio.cluster.requests.waiting import PendingResponses
from zmqio.cluster.unicast import Unicast
from zmqio.config import BusOptions
from zmqio.exceptions import BusError
from zmqio.ids import NodeId
from zmqio.protocol import messages as m
from zmqio.protocol.messages import Envelope, Message
from zmqio.protocol.publish import PublishRequest
from zmqio.protocol.relay_messages import RelayMessage
from zmqio.protocol.topic import all_topic, inbox_topic, owner_prefix
from zmqio.protocol.values import pack_values, unpack_values

__all__ = ["NamespaceReceiver", "Node"]

log = structlog.get_logger(__name__)

NOTHING = pack_values([])
REPAIR_INTERVAL_S = 0.25
STOPPED = "this node has stopped"
FLUSH_LIMIT_S = 2.0
"""Longest wait for the own goodbye to come back; it takes milliseconds, and more behind a full queue."""

_Namespaced: TypeAlias = (
    m.BroadcastMessage
    | m.AckedBroadcast
    | m.JoinRooms
    | m.LeaveRooms
    | m.DisconnectSockets
    | m.ServerSideEmit
    | m.FetchSockets
    | m.FetchRooms
)

_Take: TypeAlias = Callable[[NodeId, Any], None]
"""Takes a message of one type: (sender, message)."""


class NamespaceReceiver(Protocol):
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
        responses: responses that this node is waiting for.
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
        self.responses = PendingResponses()
        self.incidents = Diagnostics(clock)
        self.all_topic = all_topic(options.prefix)
        self._inbox = inbox_topic(options.prefix, identity.node_id)
        self._bus = bus
        self._outbox = Outbox(identity, bus, options, self.incidents, clock)
        self._reader = MessageDecoder(identity.node_id, self.incidents, clock)
        self.forwarding = Unicast(events, peers=lambda: self.peers, say=self._say, clock=clock)
        self._repair = ReliableDelivery(
            identity,
            options,
            self._outbox,
            self.incidents,
            clock=clock,
            deliver=self._deliver_replayed,
            lost=self.forwarding.bus_gap,
        )
        self._presence = Presence(
            identity,
            options,
            self.forwarding,
            self.incidents,
            clock=clock,
            voice=self._outbox,
            gone=self._node_gone,
            yield_tag=self._yield_tag,
        )
        self._takers = self._make_takers()
        self._branches: dict[str, NamespaceReceiver] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._living: tuple[asyncio.Task[None], ...] = ()
        self._closing: asyncio.Task[None] | None = None
        self._left = False
        self._parted_from: set[int] = set()
        self._news_of_parting = asyncio.Event()

    # Life.

    async def start(self) -> None:
        """Begin to connect, and to live; returns without waiting for a broker."""
        await self._bus.start(self)
        self.subscribe((self._inbox, self.all_topic))
        # A prefix of the topics of all sessions of this node, not a topic.
        self._bus.subscribe((owner_prefix(self.options.prefix, self.identity.tag),))
        self._living = (self.spawn(self._presence.live()), self.spawn(self._keep_repairing()))

    async def wait_for_tag_check(self, limit_s: float) -> TagClash | None:
        """Wait until it is known whether an older live node holds the same tag.

        Args:
            limit_s: longest time to wait for a broker. Without one nothing is known, and a clash that is found
                later makes this node leave the bus.
        """
        return await self._presence.wait_for_tag_check(limit_s)

    async def close(self) -> None:
        """Say goodbye and stop. Questions that are still open end with what came.

        The goodbye comes last, so once it has come back everything before it has left the brokers' way in. That is
        awaited for 2 s at most; then what is queued is still sent, for as long as the bus gives it.
        """
        links = frozenset(self._bus.connected_links)
        self._leave("goodbye")
        self._outbox.report_unsent()
        if self._closing is None:
            await self._flush(links)
        tasks = [task for task in self._tasks if task is not self._closing]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await (self._closing or self._bus.close())

    def close_sync(self) -> None:
        """Say goodbye and stop, without an event loop."""
        if not self._left:
            self._presence.say_goodbye("exit")
            self._outbox.shut(STOPPED)
            self._left = True
        self._bus.close_sync()

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run work in a task that ends with the node; what it raises is counted and logged once."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    # For adapters.

    def attach(self, namespace: str, branch: NamespaceReceiver) -> None:
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
        wanted = tuple(topics)
        self._repair.subscribed(wanted)
        return self._bus.subscribe(wanted)

    def unsubscribe(self, topics: Iterable[bytes]) -> None:
        """Take subscriptions back."""
        unwanted = tuple(topics)
        self._repair.unsubscribed(unwanted)
        self._bus.unsubscribe(unwanted)

    def publish(self, topic: bytes, message: Message) -> None:
        """Send a message to the other nodes, or keep it until a broker takes it. Raises BusError: see `Outbox`."""
        self._outbox.publish(topic, message)

    def ask(self, topic: bytes, message: Message) -> None:
        """Send a question, which cannot wait for a broker. Raises BusError: see `Outbox`."""
        self._outbox.ask(topic, message)

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
        problems = [] if self._left else list(self._bus.problems)
        if reasons:
            reasons += problems
        counters = {**self.incidents.counters, **self._repair.counters(), **self._bus.counters}
        details = {
            "node_id": self.identity.node_id,
            "nodes": len(self.peers) + 1,
            "connected_brokers": connected,
            "ready_brokers": self._presence.ready_links(),
            "broker_problems": problems,
            "replay": self._repair.details(),
            "counters": counters,
            "ignored_responses": dict(self.responses.requests.ignored),
        }
        return Health(not reasons, tuple(reasons), details)

    # `BusEvents`.

    def message_received(self, link: int, topic: bytes, body: bytes) -> None:
        """A message came; whatever it is, the node goes on."""
        try:
            if not self._reader.is_own(body):
                self._receive(link, topic, body)
            elif self._reader.is_heartbeat(body):
                self._presence.echo(link)
                self.forwarding.echo()
            elif self._left and self._reader.is_goodbye(body):
                self._parted(link)
        except Exception as error:  # noqa: BLE001 - outer edge: one message must not stop the node
            self.incidents.report("bus_message_failed", link=link, bytes=len(body), exc_info=error)

    def link_lost(self, link: int) -> None:
        """The connection to a broker is gone."""
        self._outbox.link_lost()
        self._presence.lost(link)
        self._repair.lost(link)
        self._news_of_parting.set()

    def link_connected(self, link: int) -> None:
        """A broker is there."""
        if not self._left:
            self._presence.connected(link)
            self._repair.back(link)

    def link_writable(self, link: int) -> None:
        """A broker that took nothing for a while may take something again."""
        if not self._left:
            self._presence.resumed(link)

    def link_overrun(self, link: int) -> None:
        """A broker may have dropped messages to this node."""
        if not self._left:
            self._repair.doubt(link)

    def _receive(self, link: int, topic: bytes, body: bytes) -> None:
        received = None if self._left else self._reader.read(topic, body)
        if received is None:
            return
        if isinstance(received, PublishRequest):
            branch = self._branches.get(received.namespace)
            if branch is not None:
                branch.apply(received)
            return
        message_id, message = received
        if message_id.previous is None:
            self._take_unsequenced(received, link, topic, body)
        elif self._repair.accept(link, topic, message_id):
            if self._repair.inflow.busy:
                self._repair.inflow.take((topic, body))
            else:
                self._take(message_id.node_id, message)

    def _take(self, sender: NodeId, message: Message) -> None:
        # The hot path: one broadcast after the other. What is not listed is for a namespace.
        take = self._takers.get(type(message))
        if take is None:
            self._hand_over(sender, cast(_Namespaced, message))
        else:
            take(sender, message)

    def _take_unsequenced(self, envelope: Envelope, link: int, topic: bytes, body: bytes) -> None:
        message_id, message = envelope
        sender = message_id.node_id
        match message:
            case m.Heartbeat():
                self._presence.heartbeat(sender, message, link=link, to_me=topic == self._inbox)
                if sender in self.peers:
                    self._repair.heartbeat(link, message_id, message.generation)
            case m.Goodbye() if self._repair.inflow.busy:
                # Behind what it said before.
                self._repair.inflow.take((topic, body))
            case m.Goodbye():
                self._presence.goodbye(sender)
            case m.ReplayRequest():
                self._repair.asked(sender, message)
            case m.ReplayAnswer():
                self._repair.answered(link, sender, message)
            case _:
                self._take(sender, message)

    def _deliver_replayed(self, arrival: Arrival) -> None:
        """Hand on what was replayed, or had to wait behind that."""
        topic, body = arrival
        try:
            received = None if self._left else self._reader.read(topic, body)
            match received:
                case Envelope(message_id, m.Goodbye()):
                    self._presence.goodbye(message_id.node_id)
                case Envelope(message_id, message):
                    self._take(message_id.node_id, message)
        except Exception as error:  # noqa: BLE001 - outer edge: one message must not stop the node
            self.incidents.report("bus_message_failed", bytes=len(body), exc_info=error)

    def _make_takers(self) -> "dict[type[Message], _Take]":
        responses, forwarding = self.responses, self.forwarding
        return {
            **dict.fromkeys(get_args(RelayMessage), forwarding.received),
            m.Response: lambda sender, message: responses.add_batch(
                message.request_id, sender, message.part, last=message.last
            ),
            m.AckCount: lambda sender, message: responses.set_expected(
                message.request_id, sender, message.expected
            ),
            m.AckResponse: lambda sender, message: responses.add_response(
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
        self._repair.gone(node_id, died=died)
        self.responses.remove_node(node_id, died=died)

    # Leaving.

    def _yield_tag(self) -> None:
        self._leave("tag clash")
        self._closing = self.spawn(self._bus.close())

    def _leave(self, reason: str) -> None:
        if self._left:
            return
        self._presence.say_goodbye(reason)
        self.forwarding.give_up()
        self._outbox.shut(str(self._presence.clash or STOPPED))
        self._left = True
        self._repair.inflow.clear()
        self.responses.fail_all()
        for task in self._living:
            task.cancel()

    async def _keep_repairing(self) -> None:
        while True:
            await asyncio.sleep(REPAIR_INTERVAL_S)
            try:
                self._repair.tick()
            except Exception as error:  # noqa: BLE001 - outer edge: without repair a loss would be silent
                self.incidents.report("repair_failed", exc_info=error)

    async def _flush(self, links: frozenset[int]) -> None:
        """Wait until the goodbye has come back through those of `links` that stay connected."""
        try:
            async with asyncio.timeout(FLUSH_LIMIT_S):
                while not self._parted_from.issuperset(links.intersection(self._bus.connected_links)):
                    self._news_of_parting.clear()
                    await self._news_of_parting.wait()
        except TimeoutError:
            log.warning("bus_not_flushed", limit_s=FLUSH_LIMIT_S, brokers=sorted(links - self._parted_from))

    def _parted(self, link: int) -> None:
        self._parted_from.add(link)
        self._news_of_parting.set()

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.incidents.count("tasks_failed")
            log.error("node_task_failed", exc_info=error)
