"""Finds out which messages of a replay answer this node missed, and which it has lost. Pure, time is an argument.

A publisher answers with all messages after a number on the topics that match a Bloom filter. So some of them are
not for this node, or were received before.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from zmqio.adapter.base import BusGap
from zmqio.cluster.delivery.publisher import ReplayRequestState
from zmqio.cluster.delivery.subscriptions import TopicSubscriptions
from zmqio.ids import NodeId
from zmqio.protocol.messages import LostRow, ReplayAnswer

__all__ = ["ReplayAnswerReader", "ReplayResult"]


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """The contribution of one replay answer.

    Attributes:
        rows: indexes into `ReplayAnswer.messages` of the messages to deliver, in order.
        gap: the messages that are lost, if any.
        lost_topics: their topics; None if unknown.
        lost: number of lost messages, as far as they could be counted.
    """

    rows: tuple[int, ...] = ()
    gap: BusGap | None = None
    lost_topics: frozenset[bytes] | None = frozenset()
    lost: int = 0


class ReplayAnswerReader:
    """Reads the answers of all publishers.

    Args:
        subscriptions: the topics of this node, with the last number received on each.
    """

    def __init__(self, subscriptions: TopicSubscriptions) -> None:
        self._subscriptions = subscriptions

    def read(
        self,
        node_id: NodeId,
        request: ReplayRequestState,
        received: int,
        answer: ReplayAnswer,
        numbers: Iterable[int],
        now: float,
    ) -> ReplayResult:
        """Read an answer, and note the numbers of the messages to deliver as received on their topics.

        Args:
            node_id: the publisher.
            request: the request that is answered.
            received: the highest number received from the publisher.
            answer: the answer.
            numbers: the n of each of its messages; 0 for a message that is not the publisher's own.
            now: the time.
        """
        # Count the losses first: `_was_missed` changes the state that they depend on.
        lost = {} if request.first_contact else self._count_lost(node_id, answer, now)
        rows = tuple(
            index
            for index, (row, n) in enumerate(zip(answer.messages, numbers, strict=True))
            if n > request.after and self._was_missed(node_id, received, row.topic, n, now - row.age_s)
        )
        if request.first_contact or not (lost or answer.forgotten):
            return ReplayResult(rows)
        count = sum(lost.values())
        messages, topics = (None, None) if answer.forgotten else (count, frozenset(lost))
        gap = BusGap(node_id, request.after + 1, answer.upto, messages, "the node no longer keeps them")
        return ReplayResult(rows, gap, topics, count)

    def _was_missed(self, node_id: NodeId, received: int, topic: bytes, n: int, sent_at: float) -> bool:
        state = self._subscriptions.state_of(topic)
        # The age was taken when the answer was made, so the message was sent at `sent_at` or earlier.
        if state is None or sent_at < state.since:
            return False
        if n <= state.last.get(node_id, 0 if state.knows_all else received):
            return False
        state.last[node_id] = n
        return True

    def _count_lost(self, node_id: NodeId, answer: ReplayAnswer, now: float) -> dict[bytes, int]:
        """The numbers of lost messages that were meant for this node, by topic."""
        counts = {row.topic: self._count_missed(node_id, row, now) for row in answer.lost}
        return {topic: count for topic, count in counts.items() if count}

    def _count_missed(self, node_id: NodeId, row: LostRow, now: float) -> int:
        state = self._subscriptions.state_of(row.topic)
        if state is None or now - row.newest_age_s < state.since:
            return 0
        last = state.last.get(node_id, 0)
        return sum(n > last for n in row.numbers)
