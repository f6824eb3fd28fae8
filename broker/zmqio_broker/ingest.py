"""The ingest endpoint: passes publish requests of outside services on, and nothing else.

Without this filter, every peer that reaches the endpoint could send any message that nodes send to each other. A
request is one frame: the topic of a namespace, room or session, then a msgpack map or a JSON object. Nodes check
the content.

A flush message, 0xff "flush-" and a token of 16 bytes, is not passed on: its token is remembered, and the control
endpoint confirms to its sender that all messages before it were forwarded.

Measured: 3.4 us of CPU per message of 200 bytes. Messages between nodes do not pass this filter.
"""

import re
from collections import OrderedDict

import zmq

from zmqio_broker.keys import KeyRing
from zmqio_broker.rejections import PeerRejection, Rejections, peer_property

__all__ = [
    "FLUSH_PREFIX",
    "FLUSH_TOKEN_BYTES",
    "MAX_ROOM_TOPIC_BYTES",
    "IngestFilter",
    "RefusedError",
    "check_request",
]

FLUSH_PREFIX = b"\xffflush-"
FLUSH_TOKEN_BYTES = 16
MAX_ROOM_TOPIC_BYTES = 256
"""Nodes do not subscribe to longer topics of rooms: messages to these rooms use the topic of the namespace."""
KNOWN_TOKENS = 10_000
"""Most flush tokens that are remembered; a sender asks within milliseconds."""
SHOWN_BYTES = 40

# Possessive quantifiers: a topic without an end fails in one pass.
_topic = re.compile(rb"([^/\0]++)/(?:n/[^\0]*+\0|(?:s|(r))/[^\0]*+\0[^\0]*+\0)").match
_JSON_OBJECT = b"{"
_MSGPACK_MAPS = frozenset([*range(0x80, 0x90), 0xDE, 0xDF])


class RefusedError(Exception):
    """A message that is not passed on. The text says why."""


def check_request(frame: bytes, prefixes: frozenset[str]) -> None:
    """Check that a frame has the form of a publish request.

    Args:
        frame: the message.
        prefixes: those that its sender may publish to; empty means all.

    Raises:
        RefusedError: it has another form, or another prefix.
    """
    topic = _topic(frame)
    if topic is None:
        raise RefusedError(f"does not begin with the topic of a request: {frame[:SHOWN_BYTES]!r}")
    if prefixes and topic.group(1).decode(errors="replace") not in prefixes:
        raise RefusedError(f"this sender's key may not publish to the prefix {topic.group(1)[:SHOWN_BYTES]!r}")
    if topic.group(2) and topic.end() > MAX_ROOM_TOPIC_BYTES:
        raise RefusedError(
            f"the topic of its room has {topic.end()} bytes. Nodes subscribe to at most {MAX_ROOM_TOPIC_BYTES}: "
            "use the topic of the namespace"
        )
    first = frame[topic.end() : topic.end() + 1]
    if first != _JSON_OBJECT and (not first or first[0] not in _MSGPACK_MAPS):
        raise RefusedError(f"its body is neither a JSON object nor a msgpack map; it begins with {first!r}")


class IngestFilter:
    """Reads requests and publishes them into the data path.

    Args:
        ingest: the PULL socket that outside services push to.
        publisher: a PUSH socket on the data path.
        rejections: records the refusals.

    Attributes:
        ring: the keys that may publish; None if keys are not required. Replaced when keys are reloaded.
        frames, bytes: number and size of the messages that were passed on.
        refused: number of messages that were refused.
        read_frames, read_bytes: number and size of all received frames.
    """

    def __init__(self, ingest: zmq.Socket[bytes], publisher: zmq.Socket[bytes], rejections: Rejections) -> None:
        self.ring: KeyRing | None = None
        self.frames = self.bytes = self.refused = self.read_frames = self.read_bytes = 0
        self._ingest = ingest
        self._publisher = publisher
        self._rejections = rejections
        self._tokens: OrderedDict[bytes, None] = OrderedDict()

    def has_flushed(self, token: object) -> bool:
        """Whether the flush message with this token has arrived. Called from the control thread."""
        return isinstance(token, bytes) and token in self._tokens

    def run(self) -> None:
        """Serve until the context is terminated."""
        while True:
            self.handle(self._ingest.recv_multipart(copy=False))

    def handle(self, frames: list[zmq.Frame]) -> None:
        """Pass one message on, or refuse it."""
        self.read_frames += len(frames)
        self.read_bytes += sum(map(len, frames))
        try:
            self._pass_on(frames)
        except RefusedError as error:
            self.refused += 1
            self._rejections.note(PeerRejection(False, _sender(frames[0]), str(error)))

    def _pass_on(self, frames: list[zmq.Frame]) -> None:
        if len(frames) != 1:
            raise RefusedError(f"a request has one frame, not {len(frames)}")
        data = frames[0].bytes
        if data.startswith(FLUSH_PREFIX):
            self._note_flush(data[len(FLUSH_PREFIX) :])
            return
        check_request(data, self._prefixes(frames[0]))
        self.frames += 1  # before it is sent, because its receiver may ask for the counters at once
        self.bytes += len(data)
        self._publisher.send(data)

    def _note_flush(self, token: bytes) -> None:
        if len(token) != FLUSH_TOKEN_BYTES:
            raise RefusedError(f"a flush message has a token of {FLUSH_TOKEN_BYTES} bytes, not {len(token)}")
        self._tokens[token] = None
        if len(self._tokens) > KNOWN_TOKENS:
            self._tokens.popitem(last=False)

    def _prefixes(self, frame: zmq.Frame) -> frozenset[str]:
        """Return the prefixes that the sender of `frame` may publish to; empty means all."""
        if self.ring is None:
            return frozenset()
        key = peer_property(frame, "User-Id").encode()
        prefixes = frozenset() if key in self.ring.nodes else self.ring.senders.get(key)
        if prefixes is None:
            raise RefusedError("the key of this sender was removed")
        return prefixes


def _sender(frame: zmq.Frame) -> str:
    """Name the sender in a log line: its public key, or its address."""
    return peer_property(frame, "User-Id") or peer_property(frame, "Peer-Address")
