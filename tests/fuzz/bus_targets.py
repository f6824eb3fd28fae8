"""Fuzz targets for strangers on the bus: the ingest endpoint of a broker, and CURVE of a connection."""

from collections.abc import Sequence
from typing import Any, cast

import zmq
from nacl.bindings import crypto_box_seed_keypair
from zmqio_broker.ingest import FLUSH_PREFIX, IngestFilter
from zmqio_broker.rejections import Rejections

from tests.fuzz.drive import FuzzTarget
from tests.fuzz.mutate import Parts
from tests.protocol.test_curve import GREETING_OF_A_SERVER, METADATA_OF_AN_XPUB, CurveServer, command_frame
from tests.protocol.vectors import load
from zmqio.exceptions import ZmtpError
from zmqio.protocol import topic
from zmqio.protocol.curve import CurveKeys, CurveMechanism
from zmqio.protocol.mechanism import SocketType
from zmqio.protocol.publish import BodyKind, classify
from zmqio.protocol.zmtp import Conversation, frame

__all__ = ["BUS_TARGETS"]

LONG_TERM, SHORT_TERM, PEER, PEER_SHORT_TERM = (crypto_box_seed_keypair(bytes((n,)) * 32) for n in range(1, 5))


class Published:
    """Keeps what the filter passes on."""

    def __init__(self) -> None:
        self.frames: list[bytes] = []

    def send(self, data: bytes) -> None:
        self.frames.append(data)


def as_bytes(part: str | bytes) -> bytes:
    return part.encode(errors="surrogatepass") if isinstance(part, str) else part


def run_ingest(parts: Parts) -> bool:
    published = Published()
    endpoint = IngestFilter(cast("Any", None), cast("Any", published), Rejections())
    frames = [as_bytes(part) for part in parts] or [b""]
    endpoint.handle([zmq.Frame(data) for data in frames])
    if frames[0].startswith(FLUSH_PREFIX):
        return endpoint.refused == 0
    assert endpoint.refused + len(published.frames) == 1
    if published.frames:
        assert published.frames == frames
        _, body = topic.split(frames[0])
        assert classify(body) is BodyKind.REQUEST
    return not endpoint.refused


class FixedServer(CurveServer):
    """A peer with fixed keys, so that its bytes are valid for every connection with fixed keys."""

    def __init__(self) -> None:
        super().__init__()
        self.public, self.secret = PEER

    def opening(self, metadata: bytes, frames: Sequence[bytes]) -> list[bytes]:
        """Everything that it sends on one connection."""
        mechanism = make_mechanism(SocketType.SUB)
        welcome = self.welcome(mechanism.begin())
        ready = self.ready(mechanism.answer(b"WELCOME", welcome[8:]), metadata)
        sealed = [frame(self.seal(data[1:], data[0] if data else 0)) for data in frames]
        return [GREETING_OF_A_SERVER, command_frame(welcome), command_frame(ready), *sealed]


def make_mechanism(socket_type: SocketType) -> CurveMechanism:
    return CurveMechanism(socket_type, CurveKeys(PEER[0], *LONG_TERM), lambda: SHORT_TERM)


def run_wire(parts: Parts) -> bool:
    data = b"".join(map(as_bytes, parts))
    whole = feed([data])
    middle = len(data) // 3
    assert whole == feed([data[:middle], data[middle : 2 * middle], data[2 * middle :]])
    return whole is not None


def run_sealed(parts: Parts) -> bool:
    """The peer has a valid key, and seals whatever it likes."""
    metadata, *frames = map(as_bytes, parts or [b""])
    return feed(FixedServer().opening(metadata[:150], [data or b"\0" for data in frames])) is not None


def feed(pieces: Sequence[bytes]) -> tuple[list[Any], bool] | None:
    """Return the messages, and whether the handshake is complete; None after an error."""
    conversation, messages = Conversation(SocketType.SUB, make_mechanism), list[Any]()
    try:
        for piece in pieces:
            messages += conversation.feed(piece)
            conversation.take_answers()
    except ZmtpError:
        return None
    return messages, conversation.is_ready


FRAMES = [b"\0topic and body", b"\1first of two", b"\0second", b"\2\x04PING\0\0ab", b"\0" + b"x" * 300]
WIRE = cast("Parts", FixedServer().opening(METADATA_OF_AN_XPUB, FRAMES))

BUS_TARGETS: dict[str, FuzzTarget] = {
    "curve": FuzzTarget([WIRE, WIRE[:3], WIRE[:4]], run_wire),
    "curve_sealed": FuzzTarget([[METADATA_OF_AN_XPUB, *FRAMES], [METADATA_OF_AN_XPUB]], run_sealed),
    "ingest": FuzzTarget(
        [
            [vector_topic + as_bytes(vector[form])]
            for vector in load("publish_requests")
            for vector_topic in (b"zmqio/n//\0", b"zmqio/r//\0lobby\0", b"zmqio/s/abcdABCDEFGHIJKLMNOP\0/\0")
            for form in ("msgpack", "json")
            if vector[form] is not None
        ]
        + [[FLUSH_PREFIX + bytes(16)]],
        run_ingest,
    ),
}
"""Name -> target."""
