"""One process on the bus: starts, subscribes, reports its health, and leaves.

Owns the bus, its tasks and the parts of a node. The messages themselves pass through `Outbox` and `Inbound`.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable
from typing import Any

from zmqio.adapter.base import BusGap, Health, Identity, NodeEvents, TagClash
from zmqio.adapter.bus import Bus
from zmqio.cluster.decoder import MessageDecoder
from zmqio.cluster.delivery.outbox import Outbox
from zmqio.cluster.delivery.reliable_delivery import ReliableDelivery
from zmqio.cluster.diagnostics import Diagnostics
from zmqio.cluster.inbound import Inbound, RecoveryReceiver
from zmqio.cluster.membership import CHECKS_PER_HEARTBEAT
from zmqio.cluster.metrics_answers import MetricsAnswers
from zmqio.cluster.presence import Presence
from zmqio.cluster.requests.waiting import PendingResponses
from zmqio.cluster.ticker import Ticker
from zmqio.cluster.unicast import Unicast
from zmqio.config import BusOptions
from zmqio.ids import NodeId
from zmqio.logger import get_logger
from zmqio.metrics.samples import Sample, counter_samples
from zmqio.protocol.topic import all_topic, inbox_topic, owner_prefix
from zmqio.tracing import Tracing

__all__ = ["Node"]

log = get_logger(__name__)

REPAIR_TICK_S = 0.25
"""Seconds between two ticks while messages are being repaired; otherwise there is one for each heartbeat."""
STOPPED = "this node has stopped"
FLUSH_TIMEOUT_S = 2.0
"""Longest wait for the echo of the own goodbye. It takes milliseconds, and longer behind a full queue."""


class Node:
    """One process on the bus.

    Args:
        identity: this run of this process.
        bus: the connection to the other nodes; the node owns it from now on.
        options: prefix, times and limits.
        events: called when nodes join and leave, and when messages are lost.
        clock: gives the seconds of any steady clock.

    Attributes:
        all_topic: the topic that every node subscribes to.
        diagnostics: counts failures.
        responses: open requests to other nodes.
        outbox: publishes messages.
        inbound: routes received messages.
        metrics: answers observers.
        tracing: makes spans; None if nothing is traced.
        unicast: sends messages to single nodes.
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
        self.all_topic = all_topic(options.prefix)
        self._bus = bus
        self._events = events
        self.diagnostics = Diagnostics(clock)
        self.responses = PendingResponses()
        self.tracing: Tracing | None = None
        self.outbox = Outbox(identity, bus, options, self.diagnostics, clock)
        self.unicast = Unicast(self.outbox, clock)
        self._presence = Presence(
            identity, options, self.diagnostics, clock=clock, sender=self.outbox, listener=self
        )
        self._delivery = ReliableDelivery(
            identity,
            options,
            self.outbox,
            self.diagnostics,
            clock=clock,
            on_gap=self._on_gap,
            on_repair=self._hasten,
        )
        self.metrics = MetricsAnswers(options.prefix, self.outbox, self._samples, clock)
        self._inbox = inbox_topic(options.prefix, identity.node_id)
        self.inbound = Inbound(
            self._inbox,
            MessageDecoder(identity.node_id, self.diagnostics, clock),
            delivery=self._delivery,
            presence=self._presence,
            unicast=self.unicast,
            responses=self.responses,
            outbox=self.outbox,
            diagnostics=self.diagnostics,
        )
        self.inbound.answer_observers(self.metrics.answer)
        self._tasks: set[asyncio.Task[None]] = set()
        self._ticker = Ticker(self._tick)
        self._closing: asyncio.Task[None] | None = None

    # Life.

    async def start(self) -> None:
        """Start connecting and sending heartbeats; returns without waiting for a broker."""
        await self._bus.start(self.inbound)
        self.subscribe((self._inbox, self.all_topic))
        # Not a topic, but the prefix of the topics of all sessions of this node.
        self._bus.subscribe((owner_prefix(self.options.prefix, self.identity.tag),))
        self._ticker.start()

    async def wait_for_tag_check(self, limit_s: float) -> TagClash | None:
        """Wait until it is known whether an older live node holds the same tag.

        Args:
            limit_s: longest wait for a broker. Without a broker nothing is known yet, and a clash that is found
                later makes this node leave the bus.
        """
        return await self._presence.wait_for_tag_check(limit_s)

    async def close(self) -> None:
        """Say goodbye and stop. Open requests end with the responses received so far.

        The goodbye is sent last, so its echo shows that the brokers have received everything before it. The node
        waits at most 2 s for the echo; after that, the bus still sends queued messages for a limited time.
        """
        links = frozenset(self._bus.connected_links)
        self._leave("goodbye")
        self.outbox.report_unsent()
        if self._closing is None:
            await self._flush(links)
        # A task may start another one while it ends. Since Python 3.12, `gather` returns at once for tasks that
        # have ended, before their callbacks have removed them.
        while tasks := [task for task in self._tasks if task is not self._closing and not task.done()]:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        await (self._closing or self._bus.close())

    def close_sync(self) -> None:
        """Say goodbye and stop, without an event loop."""
        if not self.inbound.closed:
            self._presence.send_goodbye("exit")
            self.outbox.close(STOPPED)
            self.inbound.closed = True
        self._bus.close_sync()

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run a coroutine in a task that ends with the node; an exception is counted and logged once."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._task_done)
        return task

    # Sessions of other nodes.

    def recover_sessions(self, recovery: RecoveryReceiver) -> None:
        """Pass the messages of recovery to `recovery`, and announce that this node keeps sessions of others."""
        self.inbound.recovery = recovery
        self._presence.announce(keeps_sessions=True)

    def stop_keeping_sessions(self) -> None:
        """Announce that this node no longer keeps sessions of others, because it is about to leave."""
        if not self.inbound.closed:
            self._presence.announce(keeps_sessions=False)

    # Subscriptions.

    def subscribe(self, topics: Iterable[bytes]) -> Awaitable[None]:
        """Subscribe; the awaitable completes when the brokers have applied the subscriptions."""
        added = tuple(topics)
        self._delivery.subscribed(added)
        return self._bus.subscribe(added)

    def unsubscribe(self, topics: Iterable[bytes]) -> None:
        """Cancel subscriptions."""
        removed = tuple(topics)
        self._delivery.unsubscribed(removed)
        self._bus.unsubscribe(removed)

    # State.

    @property
    def peers(self) -> Collection[NodeId]:
        """The other live nodes. A live view."""
        return () if self.inbound.closed else self._presence.peers

    @property
    def keepers(self) -> Collection[NodeId]:
        """The other live nodes that keep sessions of nodes that stop or die."""
        return () if self.inbound.closed else self._presence.keepers

    def highest_number_of(self, node_id: NodeId) -> int | None:
        """The highest number that another node is known to have used; None if nothing is known of that node."""
        return self._delivery.highest_number_of(node_id)

    def health(self) -> Health:
        """Whether this node receives messages of the others, and if not, why."""
        reasons = self._presence.problems()
        if self.inbound.closed and not reasons:
            reasons = ["the node has stopped"]
        connected = sorted(self._bus.connected_links)
        if not connected and not reasons:
            reasons = ["no broker is connected"]
        problems = [] if self.inbound.closed else list(self._bus.problems)
        if reasons:
            reasons += problems
        details = {
            "node_id": self.identity.node_id,
            "nodes": len(self.peers) + 1,
            "connected_brokers": connected,
            "ready_brokers": self._presence.ready_links(),
            "broker_problems": problems,
            "replay": self._delivery.details(),
            "counters": {"bus": self._counters()},
            "ignored_responses": dict(self.responses.requests.ignored),
        }
        return Health(not reasons, tuple(reasons), details)

    def _counters(self) -> dict[str, int]:
        """Add up the counters of the parts: some names are counted by more than one of them."""
        counters = Counter(self.diagnostics.counters)
        counters.update(self._delivery.counters())
        counters.update(self._bus.counters)
        return dict(counters)

    def _samples(self) -> Iterable[Sample]:
        """The metrics of a node whose server reports none."""
        yield Sample("zmqio_ready", self.health().ready)
        yield Sample("zmqio_nodes", len(self.peers) + 1)
        yield from counter_samples({"bus": self._counters()})

    # `PresenceListener`.

    def node_joined(self, node_id: NodeId) -> None:
        """Announce a new node."""
        self.unicast.node_joined(node_id)
        self._events.node_joined(node_id)

    def node_left(self, node_id: NodeId, reason: str, *, was_known: bool) -> None:
        """End everything that waits for a node. A node that was not known is not announced as having left."""
        died = reason != "goodbye"
        self._delivery.node_left(node_id, died=died)
        self.responses.remove_node(node_id, died=died)
        if self.inbound.recovery is not None:
            self.inbound.recovery.node_left(node_id, died=died)
        if was_known:
            self.unicast.node_left(node_id, reason)
            self._events.node_left(node_id, reason)

    def node_suspected(self) -> None:
        """Check soon whether the node has died."""
        self._ticker.hasten(self.options.heartbeat_s / CHECKS_PER_HEARTBEAT)

    def tag_taken(self) -> None:
        """Leave the bus, because an older node holds this node's tag."""
        self._leave("tag clash")
        self._closing = self.spawn(self._bus.close())

    # Private.

    def _on_gap(self, gap: BusGap, topics: frozenset[bytes] | None) -> None:
        # Requests between two nodes end only if messages to this node's inbox are lost, or may be.
        if topics is None or self._inbox in topics:
            self.unicast.bus_gap(gap)
        self._events.bus_gap(gap)

    def _leave(self, reason: str) -> None:
        if self.inbound.closed:
            return
        self._presence.send_goodbye(reason)
        self._presence.close()
        self.unicast.close()
        self.outbox.close(str(self._presence.clash or STOPPED))
        self.inbound.close()
        self.responses.fail_all()
        self._ticker.stop()

    def _tick(self) -> float:
        pause_s = self._presence.tick()
        try:
            self._delivery.tick()
        except Exception as error:  # noqa: BLE001 - outer edge: without replay a loss would go unnoticed
            self.diagnostics.report("replay_failed", exc_info=error)
        return min(pause_s, REPAIR_TICK_S) if self._delivery.is_repairing else pause_s

    def _hasten(self) -> None:
        self._ticker.hasten(REPAIR_TICK_S)

    async def _flush(self, links: frozenset[int]) -> None:
        """Wait until the goodbye has come back through those of `links` that stay connected."""
        echoes = self.inbound.goodbye_echoes
        try:
            async with asyncio.timeout(FLUSH_TIMEOUT_S):
                while not echoes.links.issuperset(links.intersection(self._bus.connected_links)):
                    await echoes.changed()
        except TimeoutError:
            log.warning("bus_flush_timed_out", limit_s=FLUSH_TIMEOUT_S, brokers=sorted(links - echoes.links))

    def _task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.diagnostics.count("tasks_failed")
            log.error("node_task_failed", exc_info=error)
