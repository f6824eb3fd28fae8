"""Sends this node's heartbeats, tracks the heartbeats of other nodes, and checks that this node receives messages.

The shell around `Membership`. Knows no namespaces.
"""

import asyncio
import os
import socket
import time
from collections import Counter
from collections.abc import Callable, Collection
from typing import Protocol

from zmqio.adapter.base import Identity, TagClash
from zmqio.cluster.diagnostics import Diagnostics
from zmqio.cluster.member_log import MemberLog
from zmqio.cluster.membership import Membership
from zmqio.cluster.process_watch import ProcessWatch
from zmqio.cluster.processes import has_ended, machine_id
from zmqio.config import BusOptions
from zmqio.ids import NodeId
from zmqio.logger import get_logger
from zmqio.protocol.messages import Goodbye, Heartbeat
from zmqio.protocol.topic import all_topic, inbox_topic
from zmqio.timer_grid import next_on_grid

__all__ = ["Presence"]

log = get_logger(__name__)

TAG_ANSWER_S = 0.2
"""Seconds that a live holder of the same tag may take to answer the first heartbeat, once that has come back."""


class HeartbeatSender(Protocol):
    """Sends heartbeats and goodbyes."""

    @property
    def connected_links(self) -> Collection[int]:
        """The brokers that are connected."""

    def send_unsequenced(self, topic: bytes, message: Heartbeat | Goodbye, *, link: int | None = None) -> object:
        """Send an unsequenced message by every link or by one; does not raise if the bus fails."""


class PresenceListener(Protocol):
    """Called about other nodes."""

    def node_joined(self, node_id: NodeId) -> None:
        """Called for the first heartbeat of a node."""

    def node_left(self, node_id: NodeId, reason: str, *, was_known: bool) -> None:
        """Called when a node has left.

        Args:
            node_id: the node.
            reason: `goodbye`; `disconnected` if all brokers lost it and its process has ended, or it did not
                reconnect; or `silent` after `dead_after_s`.
            was_known: False for the goodbye of a node that never joined, or that had been declared dead.
        """

    def node_suspected(self) -> None:
        """Called when a node may have died: `tick` must be called soon."""

    def tag_taken(self) -> None:
        """Called when this node has to leave the bus, because an older node holds its tag."""


class Presence:
    """The presence of one node among the others.

    Args:
        identity: this node.
        options: prefix and times.
        diagnostics: counts deaths, lost echoes and tag clashes.
        clock: gives the seconds of any steady clock.
        sender: sends heartbeats and goodbyes.
        listener: called about other nodes.

    Attributes:
        clash: why this node left the bus, if it did.
    """

    def __init__(
        self,
        identity: Identity,
        options: BusOptions,
        diagnostics: Diagnostics,
        *,
        clock: Callable[[], float],
        sender: HeartbeatSender,
        listener: PresenceListener,
    ) -> None:
        self.clash: TagClash | None = None
        self._identity = identity
        self._options = options
        self._diagnostics = diagnostics
        self._clock = clock
        self._generations: Counter[int] = Counter()
        self._sender = sender
        self._listener = listener
        self._started_at = time.time()
        self._membership = Membership(
            identity,
            self._started_at,
            heartbeat_s=options.heartbeat_s,
            dead_after_s=options.dead_after_s,
            max_nodes=options.max_nodes,
            now=clock(),
        )
        self._member_log = MemberLog(clock())
        self._host, self._pid, self._machine = socket.gethostname()[:255], os.getpid(), machine_id()
        self._pids: dict[NodeId, int] = {}
        self._keeps_sessions = False
        self._processes = ProcessWatch(self._process_ended)
        self._ended: set[NodeId] = set()
        self._all = all_topic(options.prefix)
        self._hello_sent = False
        self._next_heartbeat_s = 0.0
        self._echo_lost = False
        self._echoed = asyncio.Event()
        self._clashed = asyncio.Event()

    @property
    def peers(self) -> Collection[NodeId]:
        """The other live nodes. A live view."""
        return self._membership.peers

    @property
    def keepers(self) -> Collection[NodeId]:
        """The other live nodes that keep sessions of nodes that stop or die."""
        return self._membership.keepers

    def announce(self, *, keeps_sessions: bool) -> None:
        """Announce at once whether this node keeps sessions of nodes that stop or die."""
        self._keeps_sessions = keeps_sessions
        if self._hello_sent:
            self._send_heartbeat(self._all)

    def tick(self) -> float:
        """Send a heartbeat if it is due, and remove the nodes that are dead. Never raises.

        Returns:
            the seconds until the next call: until the next heartbeat, or until a node may be dead.
        """
        now_s = asyncio.get_running_loop().time()
        if now_s >= self._next_heartbeat_s:
            # Heartbeats missed while the event loop was blocked are not sent later.
            self._next_heartbeat_s = next_on_grid(now_s, self._options.heartbeat_s)
            if self._hello_sent:
                self._send_heartbeat(self._all)
        pause_s = self._next_heartbeat_s - now_s
        try:
            self._check_nodes()
            pause_s = min(pause_s, self._membership.next_check_s(self._clock()))
        except Exception as error:  # noqa: BLE001 - outer edge: without heartbeats this node counts as dead
            self._diagnostics.report("heartbeat_failed", exc_info=error)
        return pause_s

    async def wait_for_tag_check(self, limit_s: float) -> TagClash | None:
        """Wait until it is known whether an older node holds the same tag, at most `limit_s` for a broker."""
        try:
            async with asyncio.timeout(limit_s):
                await self._echoed.wait()
            async with asyncio.timeout(TAG_ANSWER_S):
                await self._clashed.wait()
        except TimeoutError:
            pass
        return self.clash

    # Links.

    def link_connected(self, link: int) -> None:
        """Send a heartbeat by a broker before anything else; the first one asks all nodes to answer."""
        self.link_doubted(link)
        self._generations[link] += 1
        self._send_heartbeat(self._all, hello=not self._hello_sent, links=(link,))
        self._hello_sent = True

    def link_writable(self, link: int) -> None:
        """Announce through a broker that messages are missing there, before anything else is sent."""
        self._generations[link] += 1
        self._send_heartbeat(self._all, links=(link,))

    def link_lost(self, link: int) -> None:
        """Note that the connection to a broker was lost."""
        self._membership.link_lost(link, self._clock())

    def link_doubted(self, link: int) -> None:
        """Note that a broker may have been wrong about nodes that it has lost."""
        self._membership.link_doubted(link, self._clock())

    # Messages.

    def echo(self, link: int) -> None:
        """Process a heartbeat of this node that came back."""
        self._membership.echo(link, self._clock())
        self._echoed.set()

    def heartbeat(self, node_id: NodeId, heartbeat: Heartbeat, *, link: int, to_me: bool) -> None:
        """Process a heartbeat of another node; `to_me` if it was sent to this node's inbox."""
        seen = self._membership.heartbeat(node_id, heartbeat, link=link, to_me=to_me, now=self._clock())
        if seen.refused:
            limit = self._options.max_nodes
            self._diagnostics.report("heartbeats_refused", peer=node_id, limit=limit, option="max_nodes")
        if seen.must_answer:
            self._send_heartbeat(inbox_topic(self._options.prefix, node_id), hello=seen.wants_answer)
        if seen.joined:
            if self._machine and heartbeat.machine == self._machine:
                self._pids[node_id] = heartbeat.pid
                self._processes.add(node_id, heartbeat.pid)
            self._member_log.joined(self._clock(), peer=node_id, host=heartbeat.host, pid=heartbeat.pid)
            self._compare_format(node_id, heartbeat.packet_format)
            self._listener.node_joined(node_id)
        if seen.clash is not None and self.clash is None:
            self._yield_tag(seen.clash)

    def departed(self, node_id: NodeId, link: int) -> None:
        """Process the notice of a broker that it has lost a node: ask the node for a heartbeat."""
        if self._membership.departed(node_id, link, self._clock()):
            self._listener.node_suspected()
            self._send_heartbeat(inbox_topic(self._options.prefix, node_id), hello=True)
            self._remove_ended()

    def goodbye(self, node_id: NodeId) -> None:
        """Process the goodbye of another node."""
        self._node_left(node_id, "goodbye", was_known=self._membership.goodbye(node_id))

    def send_goodbye(self, reason: str) -> None:
        """Announce that this node leaves."""
        self._sender.send_unsequenced(self._all, Goodbye(reason))

    def close(self) -> None:
        """Stop watching other processes."""
        self._processes.close()

    # Health.

    def problems(self) -> list[str]:
        """The reasons why this node receives no messages of the others; empty if it does."""
        if self.clash is not None:
            return [f"left the bus: {self.clash}"]
        silence_s = self._membership.silence_s(self._clock())
        if not self._membership.has_echo:
            return [f"no broker has returned a heartbeat of this node yet, for {silence_s:.1f} s"]
        if silence_s >= self._options.dead_after_s:
            return [f"no broker has returned a heartbeat of this node for {silence_s:.1f} s"]
        return []

    def ready_links(self) -> list[int]:
        """The brokers that return this node's heartbeats."""
        return sorted(self._membership.ready_links(self._clock()))

    # Private.

    def _send_heartbeat(self, topic: bytes, *, hello: bool = False, links: Collection[int] | None = None) -> None:
        configured = self._identity.tag_is_configured
        for link in self._sender.connected_links if links is None else links:
            generation = self._generations[link]
            heartbeat = Heartbeat(
                hello,
                self._started_at,
                configured,
                self._host,
                self._pid,
                generation,
                self._machine,
                self._identity.packet_format,
                self._keeps_sessions,
            )
            self._sender.send_unsequenced(topic, heartbeat, link=link)

    def _compare_format(self, node_id: NodeId, theirs: str) -> None:
        own = self._identity.packet_format
        if own and theirs and own != theirs:
            self._diagnostics.report(
                "packet_format_mismatched",
                peer=node_id,
                format=own,
                peer_format=theirs,
                consequence="clients of one node cannot read broadcasts of the other",
                advice="give all servers the same `parser`, or different prefixes",
            )

    def _check_nodes(self) -> None:
        now = self._clock()
        for node_id in self._ended.union(self._membership.take_overdue(now)):
            self._ask_broker(node_id)
        self._remove_ended()
        for node_id in self._membership.take_departed(now):
            self._node_died(node_id, "disconnected")
        for node_id in self._membership.take_dead(now):
            self._node_died(node_id, "silent")
        self._member_log.tick(now, len(self.peers) + 1)
        echo_lost = self._membership.is_echo_lost(now)
        if echo_lost and not self._echo_lost:
            self._diagnostics.report("heartbeat_echo_lost", silence_s=round(self._membership.silence_s(now), 3))
        elif self._echo_lost and not echo_lost:
            log.info("heartbeat_echo_restored")
        self._echo_lost = echo_lost

    def _process_ended(self, node_id: NodeId) -> None:
        """Wait for the broker to report it: until then, messages of the node may be under way."""
        self._ended.add(node_id)
        self._ask_broker(node_id)
        self._listener.node_suspected()

    def _ask_broker(self, node_id: NodeId) -> None:
        """Send a message to the inbox of a node: some brokers report only then that nobody subscribes to it."""
        self._send_heartbeat(inbox_topic(self._options.prefix, node_id))

    def _remove_ended(self) -> None:
        for node_id in self._membership.suspects():
            # If another process has its id by now, the node counts as dead when it has not reconnected in time.
            if node_id in self._pids and has_ended(self._pids[node_id]):
                self._membership.goodbye(node_id)
                self._node_died(node_id, "disconnected")

    def _node_died(self, node_id: NodeId, reason: str) -> None:
        self._diagnostics.count("nodes_died")
        self._node_left(node_id, reason, was_known=True)

    def _node_left(self, node_id: NodeId, reason: str, *, was_known: bool) -> None:
        self._pids.pop(node_id, None)
        self._processes.remove(node_id)
        self._ended.discard(node_id)
        if was_known:
            self._member_log.left(self._clock(), died=reason != "goodbye", peer=node_id, reason=reason)
        self._listener.node_left(node_id, reason, was_known=was_known)

    def _yield_tag(self, clash: TagClash) -> None:
        self.clash = clash
        self._diagnostics.count("tag_clashes")
        log.error(
            "node_tag_clashed",
            tag=clash.tag,
            holder=clash.holder,
            host=clash.host,
            pid=clash.pid,
            configured=clash.tag_is_configured,
            consequence="this node leaves the bus",
        )
        self._listener.tag_taken()
        self._clashed.set()
