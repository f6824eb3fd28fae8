"""Topics: what the broker matches a message by, always by *prefix*.

A topic is `<prefix>/<kind>/` and then NUL-terminated names, so that a subscription to `room-1` does not match
`room-10`. Names are UTF-8 and may have anything in them but a NUL: a `/` or a space means nothing here.

| topic | kind | who subscribes |
|---|---|---|
| `<prefix>/n/<namespace>\\0` | NAMESPACE | every node that has the namespace |
| `<prefix>/r/<namespace>\\0<room>\\0` | ROOM | nodes with at least one member |
| `<prefix>/s/<sid>\\0<namespace>\\0` | SOCKET | the owner, by `owner_prefix`; nodes with a room so named |
| `<prefix>/u/<node_id>\\0` | INBOX | that node |
| `<prefix>/a/\\0` | ALL | every node |
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from zmqio.exceptions import TopicError
from zmqio.ids import NodeId, NodeTag, is_sid_shaped

__all__ = [
    "Topic",
    "TopicKind",
    "all_topic",
    "check_name",
    "covers",
    "inbox_topic",
    "namespace_topic",
    "owner_prefix",
    "parse",
    "room_topic",
    "split",
]


class TopicKind(StrEnum):
    """The kinds of topic; the letters are on the wire."""

    NAMESPACE = "n"
    ROOM = "r"
    SOCKET = "s"
    INBOX = "u"
    ALL = "a"


@dataclass(frozen=True, slots=True)
class Topic:
    """A parsed topic.

    Attributes:
        prefix: keeps applications that share a broker apart.
        kind: decides which of the others are set.
        namespace: of NAMESPACE, ROOM and SOCKET.
        room: of ROOM and SOCKET (there it has the shape of a session id).
        node_id: of INBOX.
    """

    prefix: str
    kind: TopicKind
    namespace: str | None = None
    room: str | None = None
    node_id: NodeId | None = None


def namespace_topic(prefix: str, namespace: str) -> bytes:
    """The topic of all sockets of a namespace. Raises TopicError on a name that cannot be in a topic."""
    return _build(prefix, "n", namespace)


@lru_cache(maxsize=8_192)
def room_topic(prefix: str, namespace: str, room: str) -> bytes:
    """The topic of one room. A name with the shape of a session id goes to the node that the id names.

    Raises:
        TopicError: a name has a NUL or a lone surrogate in it.
    """
    if is_sid_shaped(room):
        return _build(prefix, "s", room, namespace)
    return _build(prefix, "r", namespace, room)


def owner_prefix(prefix: str, tag: NodeTag) -> bytes:
    """What a node subscribes to for all its sockets: a prefix of their topics, not a topic."""
    return f"{prefix}/s/{tag}".encode()


def inbox_topic(prefix: str, node_id: NodeId) -> bytes:
    """The topic that one node alone subscribes to. Raises TopicError on an id that cannot be in a topic."""
    return _build(prefix, "u", node_id)


def all_topic(prefix: str) -> bytes:
    """The topic that every node subscribes to."""
    return _build(prefix, "a", "")


def check_name(name: str) -> None:
    """Check that a namespace or room can be named in a topic.

    Raises:
        TopicError: it has a NUL or a lone surrogate in it.
    """
    if "\0" in name or not name.isascii():
        _build("", "", name)


def split(frame: bytes) -> tuple[bytes, bytes]:
    """Split a message of one frame into its topic and its body; the body is copied once.

    Raises:
        TopicError: no topic begins the frame.
    """
    found = _match_topic(frame)
    if found is None:
        what = "has no end" if _match_beginning(frame) else "does not begin with a topic"
        raise TopicError(f"what begins with {frame[:40]!r} {what}")
    end = found.end()
    return frame[:end], frame[end:]


def parse(topic: bytes) -> Topic:
    """Parse a whole topic. Only what the functions above build is one (a room of a sid's shape is on `s`).

    Raises:
        TopicError: it is not a topic.
    """
    try:
        prefix, kind, names = topic.decode().split("/", 2)
        parsed = _read(prefix, TopicKind(kind), names.removesuffix("\0").split("\0"))
    except ValueError as error:
        raise TopicError(f"{topic[:80]!r} is not a topic") from error
    if _rebuild(parsed) != topic:
        raise TopicError(f"{topic[:80]!r} is not how this topic is written")
    return parsed


def covers(topic: bytes, namespace: str, rooms: Collection[str]) -> bool:
    """Whether all nodes that a body concerns subscribe to the topic that it came by.

    The body is the truth and the topic only routes. A body that its topic does not cover is still good here,
    but other nodes may have missed it: its sender is wrong.

    Args:
        topic: what the message came by.
        namespace: of the body.
        rooms: target rooms of the body; empty for the whole namespace.

    Raises:
        TopicError: a name has a NUL or a lone surrogate in it (decoded bodies have none).
    """
    prefix = topic[: max(topic.find(b"/"), 0)].decode(errors="replace")
    if len(rooms) == 1 and topic == room_topic(prefix, namespace, *rooms):
        return True
    return topic in {namespace_topic(prefix, namespace), all_topic(prefix)}


# Two of the five kinds have two names. Possessive: what has no end is found out in one pass, however long it is.
_match_topic = re.compile(rb"[^/]++/(?:[nua]/[^\0]*+\0|[rs]/[^\0]*+\0[^\0]*+\0)").match
_match_beginning = re.compile(rb"[^/]++/[nuars]/").match


def _build(prefix: str, kind: str, *names: str) -> bytes:
    text = "\0".join(names)
    if text.count("\0") != len(names) - 1 or "\0" in prefix or "/" in prefix:
        raise TopicError(f"{(prefix, *names)!r:.120}: a name must not have a NUL in it, a prefix no '/' either")
    try:
        return f"{prefix}/{kind}/{text}\0".encode()
    except UnicodeEncodeError as error:
        raise TopicError(f"{names!r:.80}: a name has no UTF-8 form (a lone surrogate)") from error


def _read(prefix: str, kind: TopicKind, names: list[str]) -> Topic:
    match kind, names:
        case TopicKind.NAMESPACE, [namespace]:
            return Topic(prefix, kind, namespace)
        case TopicKind.ROOM, [namespace, room]:
            return Topic(prefix, kind, namespace, room)
        case TopicKind.SOCKET, [sid, namespace]:
            return Topic(prefix, kind, namespace, sid)
        case TopicKind.INBOX, [node_id]:
            return Topic(prefix, kind, node_id=NodeId(node_id))
        case TopicKind.ALL, [_]:
            return Topic(prefix, kind)
    raise ValueError("it has not the names of its kind")


def _rebuild(topic: Topic) -> bytes | None:
    if topic.room is not None and topic.namespace is not None:
        return room_topic(topic.prefix, topic.namespace, topic.room)
    if topic.namespace is not None:
        return namespace_topic(topic.prefix, topic.namespace)
    if topic.node_id is not None:
        return inbox_topic(topic.prefix, topic.node_id)
    return all_topic(topic.prefix)
