"""Who lives: heartbeats of other nodes, echoes of one's own, and whether two nodes hold the same tag.

Pure: time is an argument (seconds of any steady clock), nothing is sent from here.

Silence is counted for each link (broker) on its own, and only while this node's own heartbeats come back through
it: during an outage nobody is declared dead, and after it every peer gets a new `dead_after_s`.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import NamedTuple

from zmqio.adapter.base import Identity, TagClash
from zmqio.ids import NodeId, tag_of
from zmqio.protocol.messages import Heartbeat

__all__ = ["Membership", "Sighting"]

FRESH_BEATS = 2.5
"""An echo older than so many heartbeats is not fresh: one may be late, two in a row are an outage."""
GOODBYES_KEPT = 4_096
_NEVER = float("-inf")


class Sighting(NamedTuple):
    """What a heartbeat means.

    Attributes:
        joined: the node was not known.
        answer: it has to be told at once that this node lives: a heartbeat to its inbox.
        ask: that heartbeat has to ask for an answer (`hello`): is the other holder of our tag alive?
        clash: it is, and this node is the newer one.
    """

    joined: bool = False
    answer: bool = False
    ask: bool = False
    clash: TagClash | None = None


@dataclass(slots=True)
class _PeerLink:
    """One broker: when the last own heartbeat came back, and since when they do without a break."""

    echo_at: float = _NEVER
    fresh_since: float = _NEVER


@dataclass(slots=True)
class _Peer:
    heard: dict[int, float] = field(default_factory=dict)


class Membership:
    """The living nodes, as one of them sees it.

    Args:
        identity: this node.
        started_at: Unix seconds of its start, as in its heartbeats; of two holders of a tag the later one goes.
        heartbeat_s: seconds between two heartbeats of any node.
        dead_after_s: seconds of silence after which a peer is dead, or this node deaf.
        now: the time.
    """

    def __init__(
        self, identity: Identity, started_at: float, *, heartbeat_s: float, dead_after_s: float, now: float
    ) -> None:
        self._identity = identity
        self._started_at = started_at
        self._fresh_s = FRESH_BEATS * heartbeat_s
        self._dead_after_s = dead_after_s
        self._echo_at = now
        self._has_echo = False
        self._links: dict[int, _PeerLink] = {}
        self._peers: dict[NodeId, _Peer] = {}
        self._goodbyes: dict[NodeId, None] = {}

    @property
    def peers(self) -> Collection[NodeId]:
        """The other living nodes, in the order in which they were first seen. A live view."""
        return self._peers.keys()

    def heartbeat(self, node_id: NodeId, heartbeat: Heartbeat, *, link: int, to_me: bool, now: float) -> Sighting:
        """A heartbeat of another node came; `to_me`: in this node's own inbox, so as an answer to it."""
        if node_id in self._goodbyes:
            return Sighting()
        peer = self._peers.get(node_id)
        joined = peer is None
        if peer is None:
            peer = self._peers[node_id] = _Peer()
        peer.heard[link] = now
        same_tag = tag_of(node_id) == self._identity.tag
        return Sighting(
            joined=joined,
            answer=heartbeat.hello or (joined and not to_me),
            # What comes by the common topic may be the last word of a node that has died since. Only the
            # living answer.
            ask=same_tag and joined and not to_me,
            clash=self._clash(node_id, heartbeat) if same_tag and to_me else None,
        )

    def goodbye(self, node_id: NodeId) -> bool:
        """A node leaves; late copies of its heartbeats do not bring it back. False if it was not known."""
        self._goodbyes[node_id] = None
        if len(self._goodbyes) > GOODBYES_KEPT:
            del self._goodbyes[next(iter(self._goodbyes))]
        return self._peers.pop(node_id, None) is not None

    def echo(self, link: int, now: float) -> None:
        """This node's own heartbeat came back through a link."""
        state = self._links.setdefault(link, _PeerLink())
        if now - state.echo_at > self._fresh_s:
            state.fresh_since = now
        state.echo_at = self._echo_at = now
        self._has_echo = True

    def lost(self, link: int) -> None:
        """The connection of a link is gone: nothing is heard through it until an echo comes."""
        self._links[link] = _PeerLink()

    def take_dead(self, now: float) -> list[NodeId]:
        """Remove the peers that are dead now, and name them."""
        dead = [node_id for node_id, peer in self._peers.items() if self._is_dead(peer, now)]
        for node_id in dead:
            del self._peers[node_id]
        return dead

    def ready_links(self, now: float) -> list[int]:
        """The links through which own heartbeats came back within `dead_after_s`."""
        return [index for index, link in self._links.items() if now - link.echo_at < self._dead_after_s]

    @property
    def has_echo(self) -> bool:
        """Whether an own heartbeat ever came back."""
        return self._has_echo

    def silence_s(self, now: float) -> float:
        """Seconds since the last echo on any link, be it since the start."""
        return now - self._echo_at

    def is_deaf(self, now: float) -> bool:
        """Whether no echo came on any link for `dead_after_s`."""
        return self.silence_s(now) >= self._dead_after_s

    def _is_dead(self, peer: _Peer, now: float) -> bool:
        latest = max(peer.heard.values())
        # A link that the peer had already left when it was last heard elsewhere says nothing about it.
        return any(
            self._silent_on(index, heard, now)
            for index, heard in peer.heard.items()
            if latest - heard <= self._fresh_s and now - latest >= self._dead_after_s
        )

    def _silent_on(self, index: int, heard: float, now: float) -> bool:
        link = self._links.get(index)
        if link is None or now - link.echo_at > self._fresh_s:
            return False
        return now - max(heard, link.fresh_since) >= self._dead_after_s

    def _clash(self, node_id: NodeId, heartbeat: Heartbeat) -> TagClash | None:
        mine = (self._started_at, self._identity.node_id)
        if (heartbeat.started_at, node_id) > mine:
            return None
        return TagClash(
            self._identity.tag, node_id, heartbeat.host, heartbeat.pid, self._identity.tag_is_configured
        )
