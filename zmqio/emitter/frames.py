"""The frames that an emitter sends: one for each request, topic and body. No sockets."""

import itertools
import secrets
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from zmqio.cluster.recent_joins import RecentJoins
from zmqio.exceptions import MessageTooLargeError, PublishRequestError
from zmqio.ids import NodeId, make_node_id, make_node_tag
from zmqio.logger import get_logger
from zmqio.protocol.parser import MAX_ATTACHMENTS
from zmqio.protocol.publish import Operation, PublishRequest, encode_request
from zmqio.protocol.topic import namespace_topic, room_topic

__all__ = ["RequestFrames"]

log = get_logger(__name__)

TUPLE_REMEDY = "emit(event, *values) sends several arguments; give a list to send a list"
ID_BYTES = 12  # as in a session id: 96 bits


class RequestFrames:
    """Makes the frames of one emitter in one process. Not thread-safe; send frames in the order they are made.

    Every request gets a random `id`, by which nodes drop duplicates from several brokers, and `source` and `n`,
    which show in a capture where it came from. `n` increases, but not always by one: a request that no broker
    accepted has used its number.

    Args:
        prefix: first part of every topic.
        max_message_bytes: largest frame; the broker would close the connection on a larger one.

    Attributes:
        source: identifies this emitter to nodes.
    """

    def __init__(self, prefix: str, max_message_bytes: int) -> None:
        self.source: NodeId = make_node_id(make_node_tag())
        self._prefix = prefix
        self._max_message_bytes = max_message_bytes
        self._tuple_noted = False
        self._numbers = itertools.count(1)
        self._recent_joins: RecentJoins[tuple[str, str]] = RecentJoins()

    def make(self, request: PublishRequest) -> bytes | None:
        """Encode a request with `id`, `source` and `n` as one frame `topic body`; the body is a msgpack map.

        Returns:
            The frame, or None for a request that is valid and selects no socket.

        Raises:
            PacketError: an argument cannot be sent; the text names its type.
            PublishRequestError: nodes would reject the request, or could not send its event; the text names the
                field.
            MessageTooLargeError: topic and body exceed `max_message_bytes`.
        """
        identified = replace(
            request, id=secrets.token_urlsafe(ID_BYTES), source=self.source, n=next(self._numbers)
        )
        if request.rooms == ():
            encode_request(replace(identified, rooms=None))  # raises as for any other request
            self._check_attachments(request.args)
            return None
        frame = self._topic(request) + encode_request(identified)
        self._check_attachments(request.args)
        self._note_tuple(request)
        if len(frame) > self._max_message_bytes:
            raise MessageTooLargeError(len(frame), self._max_message_bytes)
        return frame

    @staticmethod
    def _check_attachments(args: Sequence[Any]) -> None:
        count = _count_binary(args)
        if count > MAX_ATTACHMENTS:
            raise PublishRequestError(
                f"field 'args' has {count} binary values; nodes can send at most {MAX_ATTACHMENTS} in one event. "
                "Send several events, or join the values"
            )

    def _note_tuple(self, request: PublishRequest) -> None:
        if len(request.args) == 1 and type(request.args[0]) is tuple and not self._tuple_noted:
            self._tuple_noted = True
            log.warning("tuple_sent_as_list", event_name=request.event, remedy=TUPLE_REMEDY)

    def _topic(self, request: PublishRequest) -> bytes:
        namespace = request.namespace
        if request.op is Operation.JOIN:
            self._recent_joins.add((namespace, room) for room in request.names)
        rooms = request.rooms or ()
        if len(rooms) == 1 and not self._recent_joins.includes_any([(namespace, rooms[0])]):
            return room_topic(self._prefix, request.namespace, rooms[0])
        return namespace_topic(self._prefix, request.namespace)


def _count_binary(value: Any) -> int:
    """Count the binary values in a value that can be encoded, and so is nested to a limited depth."""
    if isinstance(value, bytes | bytearray | memoryview):
        return 1
    if isinstance(value, dict):
        return sum(map(_count_binary, value.values()))
    if isinstance(value, list | tuple):
        return sum(map(_count_binary, value))
    return 0
