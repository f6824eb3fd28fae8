"""Decodes messages from the bus; malformed messages and duplicate requests are counted and dropped.

Knows the wire formats. Does not know what a message does.
"""

from collections.abc import Callable, Hashable
from functools import lru_cache
from typing import TypeAlias

import msgpack

from zmqio.cluster.diagnostics import Diagnostics
from zmqio.exceptions import EnvelopeError, PublishRequestError, VersionError
from zmqio.ids import NodeId
from zmqio.protocol import messages as m
from zmqio.protocol.envelope import MAX_NODE_ID_LENGTH, decode
from zmqio.protocol.messages import Envelope, MessageType
from zmqio.protocol.msgpack_input import unpack
from zmqio.protocol.publish import BodyKind, PublishRequest, classify, decode_request
from zmqio.protocol.topic import MAX_CACHED_CHARACTERS, covers

__all__ = ["DuplicateFilter", "MessageDecoder", "Received"]

Received: TypeAlias = Envelope | PublishRequest

IDS_KEPT = 10_000
IDS_KEPT_S = 60.0

WARNED_PEERS_KEPT = 1_000
"""Most nodes of other wire versions that are remembered, to warn of each once. `Diagnostics` limits the log."""

_TYPE_AT = 2  # a body is an array header, a version, a type, then the node id
_NODE_ID_AT = 3
_ROUTED = (m.BroadcastMessage, m.AckedBroadcast, m.JoinRooms, m.LeaveRooms, m.DisconnectSockets, m.FetchSockets)
_UNSEQUENCED = frozenset({m.Heartbeat, m.Goodbye, m.ReplayRequest, m.ReplayAnswer})
_covers = lru_cache(maxsize=8_192)(covers)

_HEARTBEAT = bytes((MessageType.HEARTBEAT,))
MAX_CACHED_HEARTBEAT_BYTES = 512
"""Size of the largest heartbeat that is cached. Larger ones have a host name that is not ASCII, or are forged."""
_decode_heartbeat = lru_cache(maxsize=512)(decode)
"""A node that publishes nothing repeats its heartbeat byte for byte, and an idle node receives little else."""


class MessageDecoder:
    """Decodes the messages that one node receives.

    Args:
        node_id: this node.
        diagnostics: counts and logs messages that are dropped.
        clock: gives the seconds of any steady clock.
    """

    def __init__(self, node_id: NodeId, diagnostics: Diagnostics, clock: Callable[[], float]) -> None:
        self._diagnostics = diagnostics
        self._clock = clock
        self._node_id = node_id
        self._own_id: bytes = msgpack.packb(node_id)
        self._requests = DuplicateFilter()
        self._warned: dict[tuple[str, str], None] = {}

    def is_own(self, body: bytes) -> bool:
        """Whether this node sent the message. Not decoded, because each emit to a room of this node comes back."""
        return body.startswith(self._own_id, _NODE_ID_AT) and classify(body) is BodyKind.ENVELOPE

    def is_heartbeat(self, body: bytes) -> bool:
        """Whether an own message is a heartbeat."""
        return body[_TYPE_AT] == MessageType.HEARTBEAT

    def is_goodbye(self, body: bytes) -> bool:
        """Whether an own message is the goodbye."""
        return body[_TYPE_AT] == MessageType.GOODBYE

    def decode(self, topic: bytes, body: bytes) -> Received | None:
        """Decode a message of another sender; None if it is malformed, or a duplicate of an outside request."""
        kind = classify(body)
        if kind is BodyKind.ENVELOPE:
            return self._decode_envelope(topic, body)
        if kind is BodyKind.REQUEST:
            return self._decode_request(topic, body)
        self._diagnostics.report("bus_message_malformed", topic=_show(topic), bytes=len(body))
        return None

    def _decode_envelope(self, topic: bytes, body: bytes) -> Envelope | None:
        try:
            is_cached = body[_TYPE_AT:_NODE_ID_AT] == _HEARTBEAT and len(body) <= MAX_CACHED_HEARTBEAT_BYTES
            envelope = self._checked(_decode_heartbeat(body) if is_cached else decode(body))
        except VersionError as error:
            self._warn_of_version(body, error)
            return None
        except EnvelopeError as error:
            self._diagnostics.report(
                "bus_message_malformed", topic=_show(topic), bytes=len(body), reason=str(error)
            )
            return None
        message = envelope.message
        if isinstance(message, _ROUTED):
            self._check_topic(topic, message.namespace, message.rooms, envelope.id.node_id)
        return envelope

    def _checked(self, envelope: Envelope) -> Envelope:
        """Refuse what no node sends, so that a forged message can do no more than a malformed one."""
        (sender, _, previous), message = envelope
        if sender == self._node_id:
            # This node packs its messages as `is_own` recognizes them.
            raise EnvelopeError("node_id is that of this node, but this node did not pack the message")
        if previous is not None and type(message) in _UNSEQUENCED:
            raise EnvelopeError(f"previous must be nil in a {type(message).__name__}")
        return envelope

    def _decode_request(self, topic: bytes, body: bytes) -> PublishRequest | None:
        try:
            request = decode_request(body)
        except PublishRequestError as error:
            self._diagnostics.report("publish_request_rejected", topic=_show(topic), reason=str(error))
            return None
        key = _identity_of(request)
        if key is not None and not self._requests.is_new(key, self._clock()):
            self._diagnostics.count("duplicate_publish_requests")
            return None
        self._check_topic(topic, request.namespace, request.rooms or (), request.source or "outside")
        return request

    def _check_topic(self, topic: bytes, namespace: str, rooms: tuple[str, ...], sender: str) -> None:
        # The body is authoritative, so the message is processed. But other nodes may have missed it: its sender
        # needs fixing.
        size = len(topic) + len(namespace) + sum(map(len, rooms))
        is_covered = (_covers if size <= MAX_CACHED_CHARACTERS else covers)(topic, namespace, rooms)
        if not is_covered:
            self._diagnostics.report(
                "message_topic_mismatched",
                topic=_show(topic),
                namespace=namespace,
                rooms=len(rooms),
                sender=sender,
            )

    def _warn_of_version(self, body: bytes, error: VersionError) -> None:
        peer = _sender_of(body)
        self._diagnostics.count("version_mismatches")
        key = (peer, f"{error.version!r:.20}")
        if key in self._warned:
            return
        self._warned[key] = None
        if len(self._warned) > WARNED_PEERS_KEPT:
            del self._warned[next(iter(self._warned))]
        self._diagnostics.warn(
            "peer_version_mismatched",
            peer=peer,
            version=error.version,
            supported=error.supported,
            advice="run the same zmqio release on all nodes, or give them different prefixes",
        )


class DuplicateFilter:
    """Detects duplicate publish requests. A request pushed to several brokers arrives once per broker.

    Pure, time is an argument.

    Args:
        limit: most ids remembered; beyond that, the oldest is forgotten.
        keep_s: seconds that an id is remembered.
    """

    __slots__ = ("_keep_s", "_limit", "_seen")

    def __init__(self, limit: int = IDS_KEPT, keep_s: float = IDS_KEPT_S) -> None:
        self._limit = limit
        self._keep_s = keep_s
        self._seen: dict[Hashable, float] = {}

    def is_new(self, request_id: Hashable, now: float) -> bool:
        """Remember an id; False if it was received within the last `keep_s`."""
        self._expire(now)
        if request_id in self._seen:
            return False
        if len(self._seen) >= self._limit:
            del self._seen[next(iter(self._seen))]
        self._seen[request_id] = now
        return True

    def _expire(self, now: float) -> None:
        while self._seen:
            oldest = next(iter(self._seen))
            if now - self._seen[oldest] < self._keep_s:
                return
            del self._seen[oldest]


def _identity_of(request: PublishRequest) -> Hashable | None:
    if request.id is not None:
        return request.id
    return None if request.source is None else (request.source, request.n)


def _sender_of(body: bytes) -> str:
    """The node id in a message of another version; "unknown" if it is not in its usual place."""
    try:
        values = unpack(body)
        sender = values[_TYPE_AT]
    except (ValueError, msgpack.UnpackException, LookupError, TypeError, RecursionError):
        return "unknown"
    return sender if isinstance(sender, str) and len(sender) <= MAX_NODE_ID_LENGTH else "unknown"


def _show(topic: bytes) -> str:
    return topic[:80].decode(errors="replace")
