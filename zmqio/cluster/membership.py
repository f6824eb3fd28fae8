"""The live nodes, the echoes of this node's own heartbeats, and clashes of two nodes with the same tag.

Pure: time is an argument (seconds of any steady clock), and nothing is sent from here.

Silence is measured for each link (broker) separately, and only while this node's own heartbeats come back through
that link. So no node is declared dead during an outage, and after it every peer gets a new `dead_after_s`.
"""

import math
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import NamedTuple

from zmqio.adapter.base import Identity, TagClash
from zmqio.cluster.token_bucket import TokenBucket
from zmqio.ids import NodeId, tag_of
from zmqio.protocol.messages import Heartbeat

__all__ = ["Membership", "Sighting"]

FRESH_HEARTBEATS = 2.5
"""An echo is fresh for this many heartbeat intervals: one may be late, two missing in a row are an outage."""
CHECKS_PER_HEARTBEAT = 10
"""Checks of an overdue peer that is not counted as dead because its link returns no echo of this node."""
GOODBYES_KEPT = 4_096
RETURN_HEARTBEATS = 1
"""A node whose inbox all brokers have lost may take this many heartbeat intervals to reconnect."""
OVERDUE_HEARTBEATS = 1.25
"""A heartbeat that is missing for this many heartbeat intervals is overdue. The node may have died."""
JOINS_REFILL_S = 10.0
"""At most `max_nodes` nodes may join at once, and then as many again in this many seconds."""
_NEVER = float("-inf")


class Sighting(NamedTuple):
    """The consequences of a heartbeat.

    Attributes:
        joined: the node was not known before.
        must_answer: the node needs a heartbeat of this node in its inbox, at once.
        wants_answer: that heartbeat must ask for an answer (`hello`), to learn whether the other holder of this
            node's tag is alive.
        clash: the other holder is alive, and this node is the newer one.
        refused: the node was not known and is not added, because of `max_nodes`.
    """

    joined: bool = False
    must_answer: bool = False
    wants_answer: bool = False
    clash: TagClash | None = None
    refused: bool = False


NOTHING_NEW = Sighting()


@dataclass(slots=True)
class _EchoState:
    """The echoes through one broker: the time of the last one, and since when none was missing.

    Attributes:
        doubted_at: when the broker was last lost, or may have been cut off from nodes.
    """

    echo_at: float = _NEVER
    fresh_since: float = _NEVER
    doubted_at: float = _NEVER


@dataclass(slots=True)
class _Peer:
    heartbeat_at: dict[int, float] = field(default_factory=dict)
    departed: set[int] = field(default_factory=set)
    suspected_at: float = _NEVER
    keeps_sessions: bool = False
    asked_at: float = _NEVER


class Membership:
    """The live nodes, as one of them sees them.

    Args:
        identity: this node.
        started_at: Unix seconds of its start, as in its heartbeats; of two holders of a tag, the later one leaves.
        heartbeat_s: seconds between two heartbeats of any node.
        dead_after_s: seconds of silence after which a peer is dead, or this node's own echo is lost.
        max_nodes: most other nodes that are known; a known node is never replaced by another.
        now: the time.
    """

    def __init__(
        self,
        identity: Identity,
        started_at: float,
        *,
        heartbeat_s: float,
        dead_after_s: float,
        max_nodes: int = 1_000,
        now: float,
    ) -> None:
        self._identity = identity
        self._started_at = started_at
        self._heartbeat_s = heartbeat_s
        self._fresh_s = FRESH_HEARTBEATS * heartbeat_s
        self._recheck_s = heartbeat_s / CHECKS_PER_HEARTBEAT
        self._overdue_s = OVERDUE_HEARTBEATS * heartbeat_s
        self._return_s = RETURN_HEARTBEATS * heartbeat_s
        self._dead_after_s = dead_after_s
        self._max_nodes = max_nodes
        self._joins = TokenBucket(max_nodes / JOINS_REFILL_S, max_nodes, now)
        self._echo_at = now
        self._has_echo = False
        self._links: dict[int, _EchoState] = {}
        self._peers: dict[NodeId, _Peer] = {}
        self._goodbyes: dict[NodeId, None] = {}

    @property
    def peers(self) -> Collection[NodeId]:
        """The other live nodes, in the order in which they were first seen. A live view."""
        return self._peers.keys()

    @property
    def keepers(self) -> list[NodeId]:
        """The other live nodes that keep sessions of nodes that stop or die, by their last heartbeats."""
        return [node_id for node_id, peer in self._peers.items() if peer.keeps_sessions]

    def heartbeat(self, node_id: NodeId, heartbeat: Heartbeat, *, link: int, to_me: bool, now: float) -> Sighting:
        """Process a heartbeat of another node; `to_me` if it came to this node's own inbox, as an answer."""
        if node_id in self._goodbyes:
            return NOTHING_NEW
        peer = self._peers.get(node_id)
        joined = peer is None
        if peer is None:
            if len(self._peers) >= self._max_nodes or not self._joins.take(1, now):
                return Sighting(refused=True)
            peer = self._peers[node_id] = _Peer()
        peer.heartbeat_at[link] = now
        peer.departed.clear()
        peer.keeps_sessions = heartbeat.keeps_sessions
        if not (joined or to_me or heartbeat.hello):
            return NOTHING_NEW
        same_tag = tag_of(node_id) == self._identity.tag
        return Sighting(
            joined=joined,
            must_answer=heartbeat.hello or (joined and not to_me),
            # A heartbeat on the common topic may be the last one of a node that has died since. Only a live node
            # answers.
            wants_answer=same_tag and joined and not to_me,
            clash=self._clash(node_id, heartbeat) if same_tag and to_me else None,
        )

    def departed(self, node_id: NodeId, link: int, now: float) -> bool:
        """Note that a broker has lost the inbox of a node; return whether to ask the node for a heartbeat.

        The node is suspected once all brokers that it uses have lost it, until its next heartbeat. Notices in the
        heartbeat interval after the last suspicion are ignored, so that forged ones cost little.
        """
        peer = self._peers.get(node_id)
        if peer is None or now - peer.suspected_at < self._return_s:
            return False
        peer.departed.add(link)
        if not self._is_departed(peer):
            return False
        peer.suspected_at = now
        return True

    def suspects(self) -> list[NodeId]:
        """The peers that all brokers have lost, and that have sent no heartbeat since."""
        return [node_id for node_id, peer in self._peers.items() if peer.departed and self._is_departed(peer)]

    def goodbye(self, node_id: NodeId) -> bool:
        """Remove a node that leaves; late copies of its heartbeats are ignored. False if it was not known."""
        self._goodbyes[node_id] = None
        if len(self._goodbyes) > GOODBYES_KEPT:
            del self._goodbyes[next(iter(self._goodbyes))]
        return self._peers.pop(node_id, None) is not None

    def echo(self, link: int, now: float) -> None:
        """Note that a heartbeat of this node came back through a link."""
        state = self._links.setdefault(link, _EchoState())
        if now - state.echo_at > self._fresh_s:
            state.fresh_since = now
        state.echo_at = self._echo_at = now
        self._has_echo = True

    def link_lost(self, link: int, now: float) -> None:
        """Note that a link was lost: its silence does not count until an echo comes back through it."""
        self._links[link] = _EchoState()
        self.link_doubted(link, now)

    def link_doubted(self, link: int, now: float) -> None:
        """Note that a broker may have lost peers only because it was cut off from them, for example by a route.

        Until a peer's next heartbeat through the link, that the broker has lost it shows nothing.
        """
        self._links.setdefault(link, _EchoState()).doubted_at = now
        for peer in self._peers.values():
            peer.departed.discard(link)

    def take_overdue(self, now: float) -> list[NodeId]:
        """Return the peers whose heartbeat is overdue, each at most twice in a heartbeat interval."""
        overdue = []
        for node_id, peer in self._peers.items():
            is_overdue = now - max(peer.heartbeat_at.values()) >= self._overdue_s
            if is_overdue and now - peer.asked_at > self._heartbeat_s / 2:
                peer.asked_at = now
                overdue.append(node_id)
        return overdue

    def take_departed(self, now: float) -> list[NodeId]:
        """Remove the peers that all brokers have lost and that have not reconnected in time, and return them."""
        late = [
            node_id
            for node_id in self.suspects()
            if now - self._peers[node_id].suspected_at >= self._return_s and self._was_seen(self._peers[node_id])
        ]
        for node_id in late:
            del self._peers[node_id]
        return late

    def take_dead(self, now: float) -> list[NodeId]:
        """Remove the peers that are silent, and return them."""
        dead = [node_id for node_id, peer in self._peers.items() if self._is_dead(peer, now)]
        for node_id in dead:
            del self._peers[node_id]
        return dead

    def next_check_s(self, now: float) -> float:
        """Seconds until a peer may be found dead; infinite without peers."""
        first_due = min((max(peer.heartbeat_at.values()) for peer in self._peers.values()), default=math.inf)
        left_s = first_due + self._dead_after_s - now
        return left_s if left_s > 0 and not self.suspects() else self._recheck_s

    def ready_links(self, now: float) -> list[int]:
        """The links through which own heartbeats came back within `dead_after_s`."""
        return [index for index, link in self._links.items() if now - link.echo_at < self._dead_after_s]

    @property
    def has_echo(self) -> bool:
        """Whether an own heartbeat ever came back."""
        return self._has_echo

    def silence_s(self, now: float) -> float:
        """Seconds since the last echo on any link, or since the start if there was none."""
        return now - self._echo_at

    def is_echo_lost(self, now: float) -> bool:
        """Whether no echo came on any link for `dead_after_s`."""
        return self.silence_s(now) >= self._dead_after_s

    def _is_departed(self, peer: _Peer) -> bool:
        used = self._used_links(peer)
        return bool(used) and used <= peer.departed

    def _was_seen(self, peer: _Peer) -> bool:
        """Whether a heartbeat of the peer has come through each of its links since that was last in doubt."""
        return all(peer.heartbeat_at[index] > self._links[index].doubted_at for index in self._used_links(peer))

    def _used_links(self, peer: _Peer) -> set[int]:
        latest = max(peer.heartbeat_at.values())
        return {
            index
            for index, heartbeat_at in peer.heartbeat_at.items()
            if latest - heartbeat_at <= self._fresh_s and self._is_connected(index)
        }

    def _is_connected(self, index: int) -> bool:
        link = self._links.get(index)
        return link is not None and link.echo_at > _NEVER

    def _is_dead(self, peer: _Peer, now: float) -> bool:
        latest = max(peer.heartbeat_at.values())
        if now - latest < self._dead_after_s:
            return False
        # A link does not count if the peer had stopped using it before its last heartbeat, which came by another.
        return any(
            self._is_silent_on(index, heartbeat_at, now)
            for index, heartbeat_at in peer.heartbeat_at.items()
            if latest - heartbeat_at <= self._fresh_s
        )

    def _is_silent_on(self, index: int, heartbeat_at: float, now: float) -> bool:
        link = self._links.get(index)
        if link is None or now - link.echo_at > self._fresh_s:
            return False
        return now - max(heartbeat_at, link.fresh_since) >= self._dead_after_s

    def _clash(self, node_id: NodeId, heartbeat: Heartbeat) -> TagClash | None:
        own = (self._started_at, self._identity.node_id)
        if (heartbeat.started_at, node_id) > own:
            return None
        return TagClash(
            self._identity.tag, node_id, heartbeat.host, heartbeat.pid, self._identity.tag_is_configured
        )
