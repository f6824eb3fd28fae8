"""The topics of this node: when it subscribed to each, and the last number received from each publisher. Pure.

Topics of single sessions share one prefix, and the node subscribes to that prefix only. At most `SESSIONS_KEPT` of
these topics are remembered; beyond that, the one that was remembered first is forgotten.
"""

from collections.abc import Iterable

from zmqio.cluster.delivery.bloom_filter import GrowingBloomFilter
from zmqio.ids import NodeId

__all__ = ["TopicState", "TopicSubscriptions"]

SESSIONS_KEPT = 10_000
"""Session topics whose last numbers are remembered. A loss on a forgotten topic is still detected when a link was
lost; only messages dropped there by a broker's full queue go unnoticed."""


class TopicState:
    """One topic.

    Attributes:
        since: when this node subscribed to it.
        last: the last number received from each publisher on it since then.
        knows_all: whether a publisher missing from `last` means that nothing was received from it. False for
            session topics once session topics have been forgotten.
    """

    __slots__ = ("knows_all", "last", "since")

    def __init__(self, since: float, *, knows_all: bool = True) -> None:
        self.since = since
        self.knows_all = knows_all
        self.last: dict[NodeId, int] = {}


class TopicSubscriptions:
    """The subscriptions of one node.

    Args:
        owner_prefix: the prefix of the topics of all sessions of this node.
        now: the time; the node counts as subscribed to its session topics since then.
        sessions_kept: how many session topics are remembered.

    Attributes:
        started_at: when the node started; no earlier message was meant for it.
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
        """Add topics that this node subscribes to."""
        for topic in topics:
            if topic not in self._topics:
                self._topics[topic] = TopicState(now)
                if self._filter is not None:
                    self._filter.add(topic)

    def remove(self, topics: Iterable[bytes]) -> None:
        """Remove topics, and forget what was received on them."""
        for topic in topics:
            self._topics.pop(topic, None)

    def state_of(self, topic: bytes) -> TopicState | None:
        """The state of a topic; None if this node does not subscribe to it."""
        state = self._topics.get(topic)
        if state is None and topic.startswith(self._owner_prefix):
            state = self._sessions.get(topic)
            if state is None:
                state = self._remember_session(topic)
        return state

    def bloom_filter(self) -> bytes:
        """A filter of the topics, session topics excluded. It may still match topics that were removed."""
        if self._filter is None or self._filter.is_full:
            self._filter = GrowingBloomFilter(self._topics)
        return self._filter.to_bytes()

    def forget(self, publishers: frozenset[NodeId]) -> None:
        """Forget the numbers of publishers that are gone for good."""
        for state in (*self._topics.values(), *self._sessions.values()):
            for node_id in publishers & state.last.keys():
                del state.last[node_id]

    def _remember_session(self, topic: bytes) -> TopicState:
        if len(self._sessions) >= self._sessions_kept:
            del self._sessions[next(iter(self._sessions))]
            self._forgot_sessions = True
        state = self._sessions[topic] = TopicState(self.started_at, knows_all=not self._forgot_sessions)
        return state
