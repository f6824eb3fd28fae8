"""Checks whether messages were dropped without a trace, by the newest number of each topic. Pure.

A broker drops messages for a node that reads too slowly. The next message on the same topic shows the gap. But
nothing shows that the last message of a topic was dropped. So while a node may be too slow, it regularly asks each
publisher for the newest number of each topic. The answer arrives behind the messages that it names, and it is much
smaller than they are.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

from zmqio.cluster.delivery.publisher import LATE_RETRY_S, CheckState, PublisherState
from zmqio.cluster.delivery.subscriptions import TopicSubscriptions
from zmqio.ids import NodeId
from zmqio.protocol.messages import ReplayAnswer, TopicRow

__all__ = ["CHECK_EVERY_S", "Checks"]

CHECK_EVERY_S = 1.0


@dataclass(slots=True)
class Checks:
    """The publishers that are checked now.

    Args:
        subscriptions: the topics of this node.
    """

    subscriptions: TopicSubscriptions
    _publishers: dict[NodeId, PublisherState] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._publishers)

    def doubt(self, node_id: NodeId, publisher: PublisherState, now: float) -> None:
        """Check a publisher from now on, or for longer."""
        if publisher.check is None:
            publisher.check = CheckState(publisher.received, now)
            self._publishers[node_id] = publisher
        publisher.check.doubted = True

    def take_due(self, now: float) -> list[tuple[NodeId, PublisherState, CheckState]]:
        """The checks to send now. A publisher is asked only while one of its links is gapless."""
        due: list[tuple[NodeId, PublisherState, CheckState]] = []
        for node_id, publisher in self._publishers.items():
            check = publisher.check
            if check is None or check.due_at > now or publisher.request is not None:
                continue
            if not publisher.alive or not publisher.gapless:
                continue
            check.doubted, check.due_at = False, now + LATE_RETRY_S
            due.append((node_id, publisher, check))
        return due

    def answered(self, node_id: NodeId, publisher: PublisherState, answer: ReplayAnswer, now: float) -> int | None:
        """Process the answer to a check.

        The checks of a publisher end with the second answer in a row before which nothing was doubted: then the
        broker's queue for this node is short.

        Returns:
            The number after which messages are missing; None if none are.
        """
        check = publisher.check
        if check is None or publisher.request is not None:
            return None
        check.id = 0
        last = self._first_missing(node_id, publisher, answer, now)
        if last is not None:
            check.clean, check.due_at = 0, now
            return max(last, check.after)
        check.after = max(check.after, answer.upto)
        check.due_at = now + CHECK_EVERY_S if answer.complete else now
        if answer.complete:
            check.clean = 0 if check.doubted else check.clean + 1
        if check.clean >= 2:
            publisher.check = None
            del self._publishers[node_id]
        return None

    def forget(self, node_ids: Iterable[NodeId]) -> None:
        """Stop checking publishers that are gone for good."""
        for node_id in node_ids:
            self._publishers.pop(node_id, None)

    def _first_missing(
        self, node_id: NodeId, publisher: PublisherState, answer: ReplayAnswer, now: float
    ) -> int | None:
        """The lowest number received last on a topic that lacks its newest message."""
        if answer.forgotten or answer.messages or answer.lost:
            # The messages are too old to be checked, or a node of an earlier release has sent them all.
            return 0
        last = [self._last_if_missing(node_id, publisher, row, now) for row in answer.newest]
        return min((number for number in last if number is not None), default=None)

    def _last_if_missing(
        self, node_id: NodeId, publisher: PublisherState, row: TopicRow, now: float
    ) -> int | None:
        state = self.subscriptions.state_of(row.topic)
        if state is None or now - row.age_s < state.since or not publisher.can_replay(row.n):
            return None
        last = state.last.get(node_id, 0 if state.knows_all else publisher.received)
        return last if last < row.n else None
