"""Shows the others that this node lives, watches who else does, and says whether this node hears anybody.

The shell around `Membership`: sends heartbeats and tells the application. Knows no namespaces.
"""

import asyncio
import os
import socket
import time
from collections import Counter
from collections.abc import Callable, Collection
from typing import Protocol

import structlog

from zmqio.adapter.base import Identity, MemberEvents, TagClash
from zmqio.cluster.diagnostics import Diagnostics
from zmqio.cluster.membership import Membership
from zmqio.config import BusOptions
from zmqio.ids import NodeId
from zmqio.protocol.messages import Goodbye, Heartbeat
from zmqio.protocol.topic import all_topic, inbox_topic

__all__ = ["Presence"]

log = structlog.get_logger(__name__)

LOOKS_A_BEAT = 10
"""A death is noticed that much later than it is certain: a tenth of a second with a beat each second."""
ANSWER_WINDOW_S = 0.2
"""How long a live holder of the same tag may take to answer the hello, once that has come back to its sender."""


class HeartbeatSender(Protocol):
    """How the others are told."""

    @property
    def connected_links(self) -> Collection[int]:
        """The brokers that are connected."""

    def tell(self, topic: bytes, message: Heartbeat | Goodbye, *, link: int | None = None) -> object:
        """Send an unsequenced message, by every link or by one; does not raise when the bus fails."""


class Presence:
    """One node among the others.

    Args:
        identity: this node.
        options: prefix and times.
        events: told who comes and goes.
        incidents: counts deaths, deafness and clashes.
        clock: gives the seconds of any steady clock.
        voice: how the others are told.
        gone: told when a node is gone, and whether it died (it did not say goodbye).
        yield_tag: told when this node has to leave, because an older one holds its tag.

    Attributes:
        clash: why this node left the bus, if it did.
    """

    def __init__(
        self,
        identity: Identity,
        options: BusOptions,
        events: MemberEvents,
        incidents: Diagnostics,
        *,
        clock: Callable[[], float],
        voice: HeartbeatSender,
        gone: Callable[[NodeId, bool], None],
        yield_tag: Callable[[], None],
    ) -> None:
        self.clash: TagClash | None = None
        self._identity = identity
        self._options = options
        self._events = events
        self._incidents = incidents
        self._clock = clock
        self._generations: Counter[int] = Counter()
        self._voice = voice
        self._gone = gone
        self._yield_tag = yield_tag
        self._started_at = time.time()
        self._membership = Membership(
            identity,
            self._started_at,
            heartbeat_s=options.heartbeat_s,
            dead_after_s=options.dead_after_s,
            now=clock(),
        )
        self._host, self._pid = socket.gethostname()[:255], os.getpid()
        self._all = all_topic(options.prefix)
        self._said_hello = False
        self._deaf = False
        self._echoed = asyncio.Event()
        self._clashed = asyncio.Event()

    @property
    def peers(self) -> Collection[NodeId]:
        """The other living nodes. A live view."""
        return self._membership.peers

    async def live(self) -> None:
        """Send a heartbeat each `heartbeat_s` and look after the others more often; runs until it is cancelled."""
        loop = asyncio.get_running_loop()
        next_at = loop.time()
        while True:
            if self._said_hello and loop.time() >= next_at:
                self._beat(self._all)
                # After a stall the beats that were missed are not made up for.
                next_at = max(next_at + self._options.heartbeat_s, loop.time())
            self._look_after()
            await asyncio.sleep(self._options.heartbeat_s / LOOKS_A_BEAT)

    async def wait_for_tag_check(self, limit_s: float) -> TagClash | None:
        """Wait until it is known whether an older node holds the same tag, at most `limit_s` for a broker."""
        try:
            async with asyncio.timeout(limit_s):
                await self._echoed.wait()
            async with asyncio.timeout(ANSWER_WINDOW_S):
                await self._clashed.wait()
        except TimeoutError:
            pass
        return self.clash

    def connected(self, link: int) -> None:
        """A broker is there: show oneself by it, before anything else; the first time, ask who else is there."""
        self._generations[link] += 1
        self._beat(self._all, hello=not self._said_hello, links=(link,))
        self._said_hello = True

    def resumed(self, link: int) -> None:
        """A broker did not take what was sent: say so by it, before anything else."""
        self._generations[link] += 1
        self._beat(self._all, links=(link,))

    def lost(self, link: int) -> None:
        """The connection to a broker is gone."""
        self._membership.lost(link)

    def echo(self, link: int) -> None:
        """An own heartbeat came back."""
        self._membership.echo(link, self._clock())
        self._echoed.set()

    def heartbeat(self, node_id: NodeId, heartbeat: Heartbeat, *, link: int, to_me: bool) -> None:
        """Another node shows that it lives."""
        seen = self._membership.heartbeat(node_id, heartbeat, link=link, to_me=to_me, now=self._clock())
        if seen.answer:
            self._beat(inbox_topic(self._options.prefix, node_id), hello=seen.ask)
        if seen.joined:
            log.info("node_joined", peer=node_id, host=heartbeat.host, pid=heartbeat.pid)
            self._events.node_joined(node_id)
        if seen.clash is not None and self.clash is None:
            self._give_way(seen.clash)

    def goodbye(self, node_id: NodeId) -> None:
        """Another node leaves."""
        self._part_from(node_id, "goodbye", known=self._membership.goodbye(node_id))

    def say_goodbye(self, reason: str) -> None:
        """This node leaves."""
        self._voice.tell(self._all, Goodbye(reason))

    def reasons(self) -> list[str]:
        """Why this node does not hear the others; empty if it does."""
        if self.clash is not None:
            return [f"left the bus: {self.clash}"]
        silence_s = self._membership.silence_s(self._clock())
        if not self._membership.has_echo:
            return [f"no broker has answered yet, for {silence_s:.1f} s"]
        if silence_s >= self._options.dead_after_s:
            return [f"deaf: own heartbeats have not come back through any broker for {silence_s:.1f} s"]
        return []

    def ready_links(self) -> list[int]:
        """The brokers through which own heartbeats come back."""
        return sorted(self._membership.ready_links(self._clock()))

    def _beat(self, topic: bytes, *, hello: bool = False, links: Collection[int] | None = None) -> None:
        configured = self._identity.tag_is_configured
        for link in self._voice.connected_links if links is None else links:
            generation = self._generations[link]
            beat = Heartbeat(hello, self._started_at, configured, self._host, self._pid, generation)
            self._voice.tell(topic, beat, link=link)

    def _look_after(self) -> None:
        now = self._clock()
        for node_id in self._membership.take_dead(now):
            self._incidents.count("nodes_died")
            self._part_from(node_id, "silent", known=True)
        deaf = self._membership.is_deaf(now)
        if deaf and not self._deaf:
            self._incidents.report("bus_deaf", silence_s=round(self._membership.silence_s(now), 3))
        elif self._deaf and not deaf:
            log.info("bus_heard_again")
        self._deaf = deaf

    def _part_from(self, node_id: NodeId, reason: str, *, known: bool) -> None:
        self._gone(node_id, reason != "goodbye")
        if known:
            log.info("node_left", peer=node_id, reason=reason)
            self._events.node_left(node_id, reason)

    def _give_way(self, clash: TagClash) -> None:
        self.clash = clash
        self._incidents.count("tag_clashes")
        log.error(
            "node_tag_clash",
            tag=clash.tag,
            holder=clash.holder,
            host=clash.host,
            pid=clash.pid,
            configured=clash.tag_is_configured,
            consequence="this node leaves the bus",
        )
        self._yield_tag()
        self._clashed.set()
