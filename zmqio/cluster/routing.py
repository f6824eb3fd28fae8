"""Chooses the topic that reaches a target, for one namespace on one node. Pure: names and bytes."""

from collections.abc import Iterable

from zmqio.adapter.base import Target
from zmqio.exceptions import TopicError
from zmqio.ids import NodeId, NodeTag, is_sid_shaped, tag_of
from zmqio.protocol.topic import MAX_NAMESPACE_TOPIC_BYTES, check_name, namespace_topic, room_topic

__all__ = ["TopicRouter"]


class TopicRouter:
    """The topics of one namespace.

    Args:
        prefix: first part of every topic.
        namespace: its name.
        tag: the first characters of the session ids of this node.

    Attributes:
        namespace_topic: the topic of the whole namespace, which every node that serves it subscribes to.

    Raises:
        TopicError: the topic of the namespace exceeds `MAX_NAMESPACE_TOPIC_BYTES`.
    """

    def __init__(self, prefix: str, namespace: str, tag: NodeTag) -> None:
        self.namespace_topic = namespace_topic(prefix, namespace)
        if (size := len(self.namespace_topic)) > MAX_NAMESPACE_TOPIC_BYTES:
            raise TopicError(
                f"the topic of the namespace {namespace:.40} has {size} bytes, more than the "
                f"{MAX_NAMESPACE_TOPIC_BYTES} that brokers accept; choose a shorter name or `prefix`"
            )
        self._prefix = prefix
        self._namespace = namespace
        self._tag = tag

    def topic_of(self, target: Target) -> bytes:
        """The one topic that reaches every node with sockets of `target`.

        Raises:
            TopicError: a room name cannot be part of a topic.
        """
        for name in target.except_:
            check_name(name)
        rooms = target.rooms or ()
        if len(rooms) == 1:
            return room_topic(self._prefix, self._namespace, next(iter(rooms)))
        for name in rooms:
            check_name(name)
        return self.namespace_topic

    def is_own_session(self, target: Target) -> bool:
        """Whether the target is a single session id of this node: its socket is here, or nowhere."""
        rooms = target.rooms
        return rooms is not None and len(rooms) == 1 and self._is_own(next(iter(rooms)))

    def owner_among(self, nodes: Iterable[NodeId], target: Target) -> NodeId | None:
        """If the target is a single session id, the node of `nodes` that made it; otherwise None."""
        if target.rooms is None or len(target.rooms) != 1:
            return None
        (name,) = target.rooms
        if not is_sid_shaped(name):
            return None
        return next((node_id for node_id in nodes if tag_of(node_id) == tag_of(name)), None)

    def topics_by_room(self, rooms: Iterable[str]) -> dict[str, bytes]:
        """Return the topics to subscribe to for rooms.

        Not among them are rooms of own sessions, which share one prefix, and rooms with long names, which use the
        topic of the namespace.

        Raises:
            TopicError: a room name cannot be part of a topic.
        """
        topics = {
            room: room_topic(self._prefix, self._namespace, room) for room in rooms if not self._is_own(room)
        }
        return {room: topic for room, topic in topics.items() if topic != self.namespace_topic}

    def _is_own(self, name: str) -> bool:
        return is_sid_shaped(name) and tag_of(name) == self._tag
