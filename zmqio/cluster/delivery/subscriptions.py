"""The topics of this node: since when, and the last number heard on each from every publisher. Pure.

The sessions of this node have topics of their own under one prefix; of these, those first heard of last are
remembered.
"""

from collections.abc import Iterable

from zmqio.cluster.delivery.bloom_filter import GrowingBloomFilter
from zmqio.ids import NodeId

__all__ = ["TopicState", "TopicSubscriptions"]

SESSIONS_KEPT = 10_000
"""Topics of sessions whose last numbers are remembered. A loss on one that was forgotten is found all the same
when a link was lost; only what a broker's full queue dropped there goes unseen."""


class TopicState:
    """One topic.

    Attributes:
        since: when this node subscribed to it.
        last: the last number that each publisher used on it, as far as heard since then.
        knows_all: what is not in `last` was not heard. Not so of a session once sessions have been forgotten.
    """

    __slots__ = ("knows_all", "last", "since")

    def __init__(self, since: float, *, knows_all: bool = True) -> None:
        self.since = since
        self.knows_all = knows_all
        self.last: dict[NodeId, int] = {}


class TopicSubscriptions:
    """What one node subscribes to.

    Args:
        owner_prefix: what the topics of all sessions of this node begin with.
        now: the time; its sessions count as subscribed to since then.
        sessions_kept: how many topics of sessions are remembered.

    Attributes:
        started_at: before this nothing concerned the node.
    """

    def __init__(self, owner_prefix: bytes, now: float, *, sessions_kept: int = SESSIONS_KEPT) -> None:
        self._owner_prefix = owner_prefix
        self.started_at = now
        self._sessions_kept = sessions_kept
        self._topics: dict[bytes, TopicState] = {}
        self._sessions: dict[bytes, TopicState] = {}
        self._forgot_sessions = False
        self._filter: GrowingBloomFilter | None = None

    def add(self, topics: Iterable[bytes], now: float) -> None:
        """This node subscribes to topics."""
        for topic in topics:
            if topic not in self._topics:
                self._topics[topic] = TopicState(now)
                if self._filter is not None:
                    self._filter.add(topic)

    def remove(self, topics: Iterable[bytes]) -> None:
        """It subscribes to them no more; what was heard on them is forgotten."""
        for topic in topics:
            self._topics.pop(topic, None)

    def record(self, topic: bytes) -> TopicState | None:
        """The record of a topic; None if it is none of this node's."""
        record = self._topics.get(topic)
        if record is None and topic.startswith(self._owner_prefix):
            record = self._sessions.get(topic)
            if record is None:
                record = self._remember_session(topic)
        return record

    def filter(self) -> bytes:
        """A filter of the topics, but for those of sessions; some that were removed may still be in it."""
        if self._filter is None or self._filter.is_full:
            self._filter = GrowingBloomFilter(self._topics)
        return self._filter.to_bytes()

    def forget(self, publishers: frozenset[NodeId]) -> None:
        """Forget what publishers that are gone for good have said."""
        for record in (*self._topics.values(), *self._sessions.values()):
            for node_id in publishers & record.last.keys():
                del record.last[node_id]

    def _remember_session(self, topic: bytes) -> TopicState:
        if len(self._sessions) >= self._sessions_kept:
            del self._sessions[next(iter(self._sessions))]
            self._forgot_sessions = True
        record = self._sessions[topic] = TopicState(self.started_at, knows_all=not self._forgot_sessions)
        return record
