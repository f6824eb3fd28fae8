"""Which topic reaches whom, for one namespace on one node. Pure: names and bytes."""

from collections.abc import Iterable

from zmqio.adapter.base import Target
from zmqio.ids import NodeId, NodeTag, is_sid_shaped, tag_of
from zmqio.protocol.topic import check_name, namespace_topic, room_topic

__all__ = ["TopicRouter"]


class TopicRouter:
    """The topics of a namespace.

    Args:
        prefix: first part of every topic.
        namespace: its name.
        tag: what the session ids of this node begin with.

    Attributes:
        everyone: the topic of the whole namespace.
    """

    def __init__(self, prefix: str, namespace: str, tag: NodeTag) -> None:
        self.everyone = namespace_topic(prefix, namespace)
        self._prefix = prefix
        self._namespace = namespace
        self._tag = tag

    def to(self, target: Target) -> bytes:
        """The one topic that reaches every node with sockets of `target`.

        Raises:
            TopicError: a room name cannot be part of a topic.
        """
        for name in target.except_:
            check_name(name)
        if len(target.rooms) == 1:
            return self.room(next(iter(target.rooms)))
        for name in target.rooms:
            check_name(name)
        return self.everyone

    def room(self, name: str) -> bytes:
        """The topic of one room. Raises TopicError."""
        return room_topic(self._prefix, self._namespace, name)

    def own_session(self, target: Target) -> bool:
        """Whether the target is one session id that was made here: its socket is here, or nowhere."""
        return len(target.rooms) == 1 and self._is_own(next(iter(target.rooms)))

    def owner_among(self, nodes: Iterable[NodeId], target: Target) -> NodeId | None:
        """The one of `nodes` that made the one session id which is the target; None if there is no such."""
        if len(target.rooms) != 1:
            return None
        (name,) = target.rooms
        if not is_sid_shaped(name):
            return None
        return next((node_id for node_id in nodes if tag_of(node_id) == tag_of(name)), None)

    def to_subscribe(self, rooms: Iterable[str]) -> dict[str, bytes]:
        """Room -> topic, for those rooms that the owner's prefix does not cover already."""
        return {room: self.room(room) for room in rooms if not self._is_own(room)}

    def _is_own(self, name: str) -> bool:
        return is_sid_shaped(name) and tag_of(name) == self._tag
