"""What an emitter puts on the wire: one frame a request, topic and body, stamped. No sockets."""

import itertools
import secrets
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace

from zmqio.cluster.recent_joins import RecentJoins
from zmqio.exceptions import MessageTooLargeError, RequestTimeoutError
from zmqio.ids import NodeId, make_node_id, make_node_tag
from zmqio.protocol.publish import Operation, PublishRequest, encode_request
from zmqio.protocol.topic import inbox_topic, namespace_topic, room_topic

__all__ = ["RequestFrames", "flush_pauses_s", "unconfirmed"]

ID_BYTES = 12  # as in a session id: 96 bits
FLUSH_TOKEN_BYTES = 8
FLUSH_FIRST_PAUSE_S = 0.01
FLUSH_LONGEST_PAUSE_S = 0.5


class RequestFrames:
    """Makes the frames of one emitter in one process. Not thread-safe: frames are sent in the order they are made.

    Every request gets a random `id` (two brokers must not double it), and `source` and `n` (nodes keep the order).
    `n` grows, not always by one: a request that no broker took has used its number.

    Args:
        prefix: first part of every topic.
        max_message_bytes: largest frame; a larger one would end the sender's connection.
    """

    def __init__(self, prefix: str, max_message_bytes: int) -> None:
        self.source: NodeId = make_node_id(make_node_tag())
        self.inbox_topic = inbox_topic(prefix, self.source)
        self._prefix = prefix
        self._max_message_bytes = max_message_bytes
        self._numbers = itertools.count(1)
        self._recent_joins: defaultdict[str, RecentJoins] = defaultdict(RecentJoins)

    def make(self, request: PublishRequest) -> bytes:
        """Stamp and encode a request: `topic body`, body a msgpack map.

        Raises:
            PacketError: an argument cannot be sent; the text names its type.
            PublishRequestError: a node would refuse it; the text names the field.
            MessageTooLargeError: topic and body are over the limit.
        """
        stamped = replace(request, id=secrets.token_urlsafe(ID_BYTES), source=self.source, n=next(self._numbers))
        frame = self._topic(request) + encode_request(stamped)
        if len(frame) > self._max_message_bytes:
            raise MessageTooLargeError(len(frame), self._max_message_bytes)
        return frame

    def make_flush(self) -> tuple[bytes, bytes]:
        """Make a message to the own inbox: the whole frame, and its body (8 random bytes)."""
        body = secrets.token_bytes(FLUSH_TOKEN_BYTES)
        return self.inbox_topic + body, body

    def _topic(self, request: PublishRequest) -> bytes:
        joins = self._recent_joins[request.namespace]
        if request.op is Operation.JOIN:
            joins.add(request.names)
        if len(request.rooms) == 1 and not joins.includes_any(request.rooms):
            return room_topic(self._prefix, request.namespace, request.rooms[0])
        return namespace_topic(self._prefix, request.namespace)


def flush_pauses_s() -> Iterator[float]:
    """Seconds to wait for each copy of a flush message: the first ones may precede the inbox's subscription."""
    pause_s = FLUSH_FIRST_PAUSE_S
    while True:
        yield pause_s
        pause_s = min(2 * pause_s, FLUSH_LONGEST_PAUSE_S)


def unconfirmed(addresses: Sequence[str], waited_s: float) -> RequestTimeoutError:
    """What a flush without an answer raises."""
    return RequestTimeoutError(
        f"the flush message did not come back in {waited_s:g} s from {', '.join(addresses)}: what was emitted may "
        "not have reached the broker; is its subscribe endpoint (base port + 2) reachable from here?"
    )
