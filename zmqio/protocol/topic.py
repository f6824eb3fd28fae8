"""Topics of the bus. The broker matches a message's topic against subscriptions by *prefix*.

A topic is `<prefix>/<kind>/`, followed by NUL-terminated names, so that a subscription to `room-1` does not match
`room-10`. Names are UTF-8 and may contain any character except NUL; a `/` in a name has no special meaning.

| topic | kind | subscribers |
|---|---|---|
| `<prefix>/n/<namespace>\\0` | NAMESPACE | every node that serves the namespace |
| `<prefix>/r/<namespace>\\0<room>\\0` | ROOM | nodes with at least one member of the room |
| `<prefix>/s/<sid>\\0<namespace>\\0` | SOCKET | the node that owns the session, by `owner_prefix`; nodes with a
room of that name |
| `<prefix>/u/<node_id>\\0` | INBOX | that node |
| `<prefix>/a/\\0` | ALL | every node |

A broker stores each subscription several times, at about 40 bytes of memory per byte and copy. Rooms whose topic
would exceed `MAX_ROOM_TOPIC_BYTES` therefore have none: their messages go to the topic of the namespace.

The broker publishes `0xff "gone-" <inbox topic>` when the last subscription to an inbox ends (`departure_prefix`).
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from zmqio.exceptions import TopicError
from zmqio.ids import NodeId, NodeTag, is_sid_shaped

__all__ = [
    "MAX_CACHED_CHARACTERS",
    "MAX_NAMESPACE_TOPIC_BYTES",
    "MAX_ROOM_TOPIC_BYTES",
    "Topic",
    "TopicKind",
    "all_topic",
    "check_name",
    "covers",
    "departed_inbox",
    "departure_prefix",
    "inbox_topic",
    "namespace_topic",
    "owner_prefix",
    "parse",
    "room_topic",
    "split",
]


MAX_CACHED_CHARACTERS = 1_000
"""Longest names, together, by which a value is cached. Names may be as long as a message."""
MAX_ROOM_TOPIC_BYTES = 256
MAX_NAMESPACE_TOPIC_BYTES = 3_000
"""Brokers disconnect a node whose subscription exceeds 4,096 bytes. Topics of sockets contain a namespace, too."""


class TopicKind(StrEnum):
    """Kinds of topics. The letters are part of the wire format."""

    NAMESPACE = "n"
    ROOM = "r"
    SOCKET = "s"
    INBOX = "u"
    ALL = "a"


@dataclass(frozen=True, slots=True)
class Topic:
    """A parsed topic.

    Attributes:
        prefix: separates applications that share a broker.
        kind: decides which of the following fields are set.
        namespace: set for NAMESPACE, ROOM and SOCKET.
        room: set for ROOM and SOCKET; for SOCKET it has the form of a session id.
        node_id: set for INBOX.
    """

    prefix: str
    kind: TopicKind
    namespace: str | None = None
    room: str | None = None
    node_id: NodeId | None = None


def namespace_topic(prefix: str, namespace: str) -> bytes:
    """Return the topic of all sockets of a namespace. Raises TopicError for an invalid name."""
    return _build(prefix, "n", namespace)


def room_topic(prefix: str, namespace: str, room: str) -> bytes:
    """Return the topic of messages to one room.

    A room name in the form of a session id is routed to the session's owner. A long room name, with a topic of
    more than `MAX_ROOM_TOPIC_BYTES`, has the topic of the namespace.

    Raises:
        TopicError: a name contains a NUL or a lone surrogate.
    """
    if len(room) <= MAX_ROOM_TOPIC_BYTES:
        return _topic_of_short_name(prefix, namespace, room)
    # Not through the cache: clients may choose thousands of names of a megabyte.
    check_name(room)
    return namespace_topic(prefix, namespace)


@lru_cache(maxsize=8_192)
def _topic_of_short_name(prefix: str, namespace: str, room: str) -> bytes:
    if is_sid_shaped(room):
        return _build(prefix, "s", room, namespace)
    topic = _build(prefix, "r", namespace, room)
    return topic if len(topic) <= MAX_ROOM_TOPIC_BYTES else namespace_topic(prefix, namespace)


def owner_prefix(prefix: str, tag: NodeTag) -> bytes:
    """Return the subscription of a node for all its sockets: a prefix of their topics, not a topic."""
    return f"{prefix}/s/{tag}".encode()


def inbox_topic(prefix: str, node_id: NodeId) -> bytes:
    """Return the topic to which only that node subscribes. Raises TopicError for an invalid id."""
    return _build(prefix, "u", node_id)


def all_topic(prefix: str) -> bytes:
    """Return the topic to which every node subscribes."""
    return _build(prefix, "a", "")


def departure_prefix(prefix: str) -> bytes:
    """Return the subscription for the broker's notices that nobody subscribes to an inbox any longer."""
    return _DEPARTURE + f"{prefix}/u/".encode()


def departed_inbox(frame: bytes) -> bytes | None:
    """Return the inbox topic in a broker's notice; None if the frame is none."""
    return frame[len(_DEPARTURE) :] if frame.startswith(_DEPARTURE) else None


def check_name(name: str) -> None:
    """Check that a namespace or room name can be part of a topic.

    Raises:
        TopicError: the name contains a NUL or a lone surrogate.
    """
    if "\0" in name or not name.isascii():
        _build("", "", name)


def split(frame: bytes) -> tuple[bytes, bytes]:
    """Split a single-frame message into topic and body; the body is copied once.

    Raises:
        TopicError: the frame does not begin with a topic.
    """
    found = _match_topic(frame)
    if found is None:
        problem = "has a topic without an end" if _match_beginning(frame) else "does not begin with a topic"
        raise TopicError(f"message {frame[:40]!r} {problem}")
    end = found.end()
    return frame[:end], frame[end:]


def parse(topic: bytes) -> Topic:
    """Parse a topic, in exactly the form that the functions above build.

    Raises:
        TopicError: the bytes are not a topic.
    """
    try:
        prefix, kind, names = topic.decode().split("/", 2)
        parsed = _read(prefix, TopicKind(kind), names.removesuffix("\0").split("\0"))
    except ValueError as error:
        raise TopicError(f"{topic[:80]!r} is not a topic") from error
    if _rebuild(parsed) != topic:
        raise TopicError(f"{topic[:80]!r} is not the canonical form of its topic")
    return parsed


def covers(topic: bytes, namespace: str, rooms: Collection[str]) -> bool:
    """Return whether all nodes that a body addresses subscribe to the topic of its message.

    The body decides the recipients; the topic only routes. A message whose topic does not cover its body is still
    valid, but other nodes may have missed it because of a fault of its sender.

    Args:
        topic: topic of the message.
        namespace: namespace in the body.
        rooms: target rooms in the body; empty for the whole namespace.

    Raises:
        TopicError: a name contains a NUL or a lone surrogate (decoded bodies contain neither).
    """
    prefix = topic[: max(topic.find(b"/"), 0)].decode(errors="replace")
    if len(rooms) == 1 and topic == room_topic(prefix, namespace, *rooms):
        return True
    return topic in {namespace_topic(prefix, namespace), all_topic(prefix)}


_DEPARTURE = b"\xffgone-"

# Two of the five kinds have two names. Possessive quantifiers: a topic without an end fails in one pass.
_match_topic = re.compile(rb"[^/]++/(?:[nua]/[^\0]*+\0|[rs]/[^\0]*+\0[^\0]*+\0)").match
_match_beginning = re.compile(rb"[^/]++/[nuars]/").match


def _build(prefix: str, kind: str, *names: str) -> bytes:
    text = "\0".join(names)
    if text.count("\0") != len(names) - 1 or "\0" in prefix or "/" in prefix:
        raise TopicError(
            f"{(prefix, *names)!r:.120}: a name must not contain a NUL, and a prefix must not contain '/' either"
        )
    try:
        return f"{prefix}/{kind}/{text}\0".encode()
    except UnicodeEncodeError as error:
        raise TopicError(f"{names!r:.80}: a name cannot be encoded as UTF-8 (lone surrogate)") from error


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
    raise ValueError("wrong number of names for this kind of topic")


def _rebuild(topic: Topic) -> bytes | None:
    if topic.room is not None and topic.namespace is not None:
        return room_topic(topic.prefix, topic.namespace, topic.room)
    if topic.namespace is not None:
        return namespace_topic(topic.prefix, topic.namespace)
    if topic.node_id is not None:
        return inbox_topic(topic.prefix, topic.node_id)
    return all_topic(topic.prefix)
