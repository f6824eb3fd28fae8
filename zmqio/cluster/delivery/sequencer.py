"""The sequence numbers of the messages that one node sends. Pure.

One counter numbers all messages of a process, so that their order across rooms is known. Each message also names
the last number used on its topic, so that a receiver detects a missing message on one of its topics.
"""

from zmqio.ids import NodeId
from zmqio.protocol.messages import MessageId

__all__ = ["DEFAULT_TOPICS_KEPT", "Sequencer"]

DEFAULT_TOPICS_KEPT = 100_000
"""About 20 MB at most. A message to one socket of another node has a topic of its own, so topics come and go."""


class Sequencer:
    """Numbers the messages of one run of one node.

    Args:
        node_id: this node.
        topics_kept: how many topics keep their own `previous`; beyond that, the least recently used is forgotten.
            The next message on a forgotten topic carries, as `previous`, the highest number forgotten so far. A
            receiver may then send one needless replay request, but never misses a gap.
    """

    __slots__ = ("_floor", "_last", "_n", "_node_id", "_topics_kept")

    def __init__(self, node_id: NodeId, *, topics_kept: int = DEFAULT_TOPICS_KEPT) -> None:
        self._node_id = node_id
        self._topics_kept = topics_kept
        self._n = 0
        self._floor = 0
        self._last: dict[bytes, int] = {}

    def next_id(self, topic: bytes) -> MessageId:
        """Number the next message on `topic`."""
        self._n += 1
        previous = self._last.pop(topic, self._floor)
        self._last[topic] = self._n
        if len(self._last) > self._topics_kept:
            self._floor = self._last.pop(next(iter(self._last)))
        return MessageId(self._node_id, self._n, previous)

    def rollback(self, topic: bytes, message_id: MessageId) -> None:
        """Undo the newest number, whose message was not sent, so that no receiver waits for it.

        Raises:
            ValueError: `message_id` is not the newest.
        """
        if message_id.n != self._n or message_id.previous is None:
            raise ValueError(f"message {message_id.n} cannot be rolled back: the newest is {self._n}")
        self._n -= 1
        self._last[topic] = message_id.previous

    def unsequenced_id(self) -> MessageId:
        """The id of an unsequenced message: it carries the highest number used so far."""
        return MessageId(self._node_id, self._n)
