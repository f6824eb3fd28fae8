"""Read what came from the bus: decode it, and count, tell and drop what is of no use.

Knows the wire forms. Decides nothing about what a message does.
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
from zmqio.protocol.publish import BodyKind, PublishRequest, classify, decode_request
from zmqio.protocol.topic import covers

__all__ = ["DuplicateFilter", "MessageDecoder", "Received"]

Received: TypeAlias = Envelope | PublishRequest

IDS_KEPT = 10_000
IDS_KEPT_S = 60.0

FOREIGNERS_KEPT = 1_000
"""Most nodes of other wire versions that are remembered as told of; the log stays bounded by `Diagnostics`."""

_TYPE_AT = 2  # a body is an array header, a version, a type, then the node id
_NODE_ID_AT = 3
_ROUTED = (m.BroadcastMessage, m.AckedBroadcast, m.JoinRooms, m.LeaveRooms, m.DisconnectSockets, m.FetchSockets)
_covers = lru_cache(maxsize=8_192)(covers)


class MessageDecoder:
    """Reads for one node.

    Args:
        node_id: this node.
        incidents: where trouble is counted and told.
        clock: gives the seconds of any steady clock.
    """

    def __init__(self, node_id: NodeId, incidents: Diagnostics, clock: Callable[[], float]) -> None:
        self._incidents = incidents
        self._clock = clock
        self._mine: bytes = msgpack.packb(node_id)
        self._request_ids = DuplicateFilter()
        self._foreigners: dict[tuple[str, str], None] = {}

    def is_own(self, body: bytes) -> bool:
        """Whether this node sent it itself; told without decoding, for each emit to an own room comes back."""
        return body.startswith(self._mine, _NODE_ID_AT) and classify(body) is BodyKind.ENVELOPE

    def is_heartbeat(self, body: bytes) -> bool:
        """Whether an own message is a heartbeat."""
        return body[_TYPE_AT] == MessageType.HEARTBEAT

    def is_goodbye(self, body: bytes) -> bool:
        """Whether an own message is the goodbye."""
        return body[_TYPE_AT] == MessageType.GOODBYE

    def read(self, topic: bytes, body: bytes) -> Received | None:
        """Decode a message that is not this node's own; None if it is rubbish, or a copy of an outside request."""
        kind = classify(body)
        if kind is BodyKind.ENVELOPE:
            return self._read_envelope(topic, body)
        if kind is BodyKind.REQUEST:
            return self._read_request(topic, body)
        self._incidents.report("bus_rubbish", topic=_show(topic), bytes=len(body))
        return None

    def _read_envelope(self, topic: bytes, body: bytes) -> Envelope | None:
        try:
            envelope = decode(body)
        except VersionError as error:
            self._meet_foreigner(body, error)
            return None
        except EnvelopeError as error:
            self._incidents.report("bus_rubbish", topic=_show(topic), bytes=len(body), reason=str(error))
            return None
        message = envelope.message
        if isinstance(message, _ROUTED):
            self._check_topic(topic, message.namespace, message.rooms, envelope.id.node_id)
        return envelope

    def _read_request(self, topic: bytes, body: bytes) -> PublishRequest | None:
        try:
            request = decode_request(body)
        except PublishRequestError as error:
            self._incidents.report("publish_request_refused", topic=_show(topic), reason=str(error))
            return None
        name = _name_of(request)
        if name is not None and not self._request_ids.is_new(name, self._clock()):
            self._incidents.count("publish_copies")
            return None
        self._check_topic(topic, request.namespace, request.rooms, request.source or "outside")
        return request

    def _check_topic(self, topic: bytes, namespace: str, rooms: tuple[str, ...], sender: str) -> None:
        # The body is the truth; but other nodes may have missed it, so its sender should be mended.
        if not _covers(topic, namespace, rooms):
            self._incidents.report(
                "topic_does_not_cover", topic=_show(topic), namespace=namespace, rooms=len(rooms), sender=sender
            )

    def _meet_foreigner(self, body: bytes, error: VersionError) -> None:
        peer = _sender_of(body)
        self._incidents.count("version_mismatches")
        key = (peer, f"{error.version!r:.20}")
        if key in self._foreigners:
            return
        self._foreigners[key] = None
        if len(self._foreigners) > FOREIGNERS_KEPT:
            del self._foreigners[next(iter(self._foreigners))]
        self._incidents.tell(
            "peer_speaks_another_version",
            peer=peer,
            version=error.version,
            supported=error.supported,
            advice="run the same zmqio release on all nodes, or give them different prefixes",
        )


class DuplicateFilter:
    """Ids of outside requests, remembered for a while.

    Args:
        limit: most ids kept; beyond it the oldest is forgotten.
        keep_s: seconds that an id is kept.
    """

    __slots__ = ("_keep_s", "_limit", "_seen")

    def __init__(self, limit: int = IDS_KEPT, keep_s: float = IDS_KEPT_S) -> None:
        self._limit = limit
        self._keep_s = keep_s
        self._seen: dict[Hashable, float] = {}

    def is_new(self, request_id: Hashable, now: float) -> bool:
        """Note an id; False if it came within the last `keep_s`."""
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


def _name_of(request: PublishRequest) -> Hashable | None:
    if request.id is not None:
        return request.id
    return None if request.source is None else (request.source, request.n)


def _sender_of(body: bytes) -> str:
    """The node id in a message of another version, where it has always been; it may have moved."""
    try:
        values = msgpack.unpackb(body)
        sender = values[_TYPE_AT]
    except (ValueError, msgpack.UnpackException, LookupError, TypeError, RecursionError):
        return "unknown"
    return sender if isinstance(sender, str) and len(sender) <= MAX_NODE_ID_LENGTH else "unknown"


def _show(topic: bytes) -> str:
    return topic[:80].decode(errors="replace")
