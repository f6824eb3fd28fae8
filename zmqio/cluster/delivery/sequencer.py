"""Sequence numbers of the messages that this node sends: one counter, and the last number on each topic.

Pure. Source: DESIGN section 6, "Replay": a counter per topic alone would lose the order between rooms.
"""

from zmqio.ids import NodeId
from zmqio.protocol.messages import MessageId

__all__ = ["DEFAULT_TOPICS_KEPT", "Sequencer"]

DEFAULT_TOPICS_KEPT = 100_000
"""About 20 MB at most. A direct send to a socket of another node has a topic of its own, so topics come and go."""


class Sequencer:
    """Numbers the messages of one run of one node.

    Args:
        node_id: this node.
        topics_kept: how many topics keep their own `previous`; beyond it the one unused for longest is forgotten.
            A forgotten topic's next message names, as `previous`, the highest number forgotten so far: 0 still
            means "never anything", another number "nothing after that one", so that a receiver can tell them
            apart at the price of asking once in vain.
    """

    __slots__ = ("_floor", "_last", "_n", "_node_id", "_topics_kept")

    def __init__(self, node_id: NodeId, *, topics_kept: int = DEFAULT_TOPICS_KEPT) -> None:
        self._node_id = node_id
        self._topics_kept = topics_kept
        self._n = 0
        self._floor = 0
        self._last: dict[bytes, int] = {}

    def next_id(self, topic: bytes) -> MessageId:
        """Number a message on `topic`."""
        self._n += 1
        previous = self._last.pop(topic, self._floor)
        self._last[topic] = self._n
        if len(self._last) > self._topics_kept:
            self._floor = self._last.pop(next(iter(self._last)))
        return MessageId(self._node_id, self._n, previous)

    def rollback(self, topic: bytes, message_id: MessageId) -> None:
        """Undo the newest message_id: its message can never be sent (too large), so nobody may miss it.

        Raises:
            ValueError: it is not the newest.
        """
        if message_id.n != self._n or message_id.previous is None:
            raise ValueError(f"message {message_id.n} is not the newest, {self._n}")
        self._n -= 1
        self._last[topic] = message_id.previous

    def unsequenced_id(self) -> MessageId:
        """For a message that is not counted: the counter as it stands."""
        return MessageId(self._node_id, self._n)
