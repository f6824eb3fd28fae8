"""Engine.IO packets as bytes and text: encode once for all recipients, decode what clients send. Pure.

Knows packets, polling payloads and WebSocket frames; must not know sessions, sockets or time.

Source: Engine.IO protocol v4, "Packet encoding" (https://github.com/socketio/engine.io-protocol); RFC 6455,
section 5.2 (an unmasked frame of the server); RFC 7692, section 7.2.1 (a compressed message).
"""

import binascii
import zlib
from collections.abc import Iterator, Sequence

from zmqio.exceptions import PacketError

__all__ = [
    "CLOSE",
    "NOOP",
    "PING",
    "PROBE_RESPONSE",
    "SEPARATOR",
    "Prepared",
    "decode_payload",
    "deflate_frame",
    "encode_frame",
    "is_larger",
    "utf8_size",
]

SEPARATOR = "\x1e"
_SEPARATOR_BYTES = b"\x1e"
_TEXT_FRAME = 0x81  # FIN and opcode 1
_BINARY_FRAME = 0x82  # FIN and opcode 2
_COMPRESSED = 0x40  # RSV1
_FLUSH_END = b"\x00\x00\xff\xff"  # the empty block with which a sync flush ends
_DEFLATE_LEVEL = 6
_SHORT_BYTES = 125  # the largest payload whose length fits in the second byte of a frame
_UTF8_MOST_BYTES = 4  # most bytes of one character
_BASE64_LETTERS = str.maketrans("-_", "+/", "\r\n\t =")
_PACKET_TYPES = frozenset("0123456")


class Prepared:
    """The Engine.IO messages of one Socket.IO packet, encoded at most once for each kind of transport.

    Each form is encoded on first use and shared by all recipients. Each transport has a form of its own.

    Args:
        packets: whole Engine.IO packets: text with its type digit, or the bytes of a binary message.

    Attributes:
        packets: as given; each is one WebSocket message.
        is_shared: whether several sessions may have it in their send buffers.
    """

    __slots__ = ("_deflated_frames", "_polling", "_size_bytes", "_ws_frames", "is_shared", "packets")

    def __init__(self, packets: Sequence[str | bytes]) -> None:
        self.packets = tuple(packets)
        self.is_shared = False
        self._ws_frames: bytes | None = None
        self._deflated_frames: bytes | None = None
        self._polling: bytes | None = None
        self._size_bytes: int | None = None

    @classmethod
    def of_messages(cls, messages: Sequence[str | bytes]) -> "Prepared":
        """Prepare Engine.IO *messages*: each text gets the type digit of a message."""
        if len(messages) == 1 and isinstance(messages[0], str):
            return cls(("4" + messages[0],))
        return cls([message if isinstance(message, bytes) else "4" + message for message in messages])

    @property
    def packet_count(self) -> int:
        """The number of Engine.IO packets."""
        return len(self.packets)

    @property
    def ws_frames(self) -> bytes:
        """The complete, unmasked WebSocket frames of all packets."""
        if self._ws_frames is None:
            self._ws_frames = _ws_frames(self.packets)
        return self._ws_frames

    @property
    def deflated_frames(self) -> bytes:
        """The same frames for a connection with permessage-deflate without context takeover.

        A packet that would become larger is not compressed.
        """
        if self._deflated_frames is None:
            self._deflated_frames = _deflated_frames(self.packets)
        return self._deflated_frames

    @property
    def polling(self) -> bytes:
        """The records of all packets for a polling body, UTF-8, joined by the separator; binary is base64."""
        if self._polling is None:
            self._polling = _polling(self.packets)
        return self._polling

    @property
    def size_bytes(self) -> int:
        """Sum of the packets' sizes (UTF-8) as WebSocket messages."""
        if self._size_bytes is None:
            self._size_bytes = _size_bytes(self.packets)
        return self._size_bytes


def encode_frame(packet: str | bytes) -> bytes:
    """Encode one WebSocket message as one unmasked frame.

    Source: RFC 6455, section 5.2.
    """
    return _frame(*_payload(packet))


def deflate_frame(packet: str | bytes) -> bytes:
    """Encode one WebSocket message as one unmasked frame, compressed if that makes it smaller.

    Source: RFC 7692, section 7.2.1; without context takeover.
    """
    first, data = _payload(packet)
    deflater = zlib.compressobj(_DEFLATE_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    deflated = deflater.compress(data) + deflater.flush(zlib.Z_SYNC_FLUSH)
    deflated = deflated.removesuffix(_FLUSH_END)
    return _frame(first | _COMPRESSED, deflated) if len(deflated) < len(data) else _frame(first, data)


def _payload(packet: str | bytes) -> tuple[int, bytes]:
    """The first byte of the frame of a packet, and its data."""
    return (_TEXT_FRAME, packet.encode()) if isinstance(packet, str) else (_BINARY_FRAME, packet)


def _frame(first: int, data: bytes) -> bytes:
    size = len(data)
    if size <= _SHORT_BYTES:
        return bytes((first, size)) + data
    if size < 1 << 16:
        return bytes((first, 126)) + size.to_bytes(2, "big") + data
    return bytes((first, 127)) + size.to_bytes(8, "big") + data


def utf8_size(text: str) -> int:
    """The size of `text` in UTF-8, in bytes."""
    return len(text) if text.isascii() else len(text.encode())


def is_larger(data: str | bytes, limit_bytes: int) -> bool:
    """Whether a WebSocket message has more than `limit_bytes` bytes, text in UTF-8."""
    if len(data) * _UTF8_MOST_BYTES <= limit_bytes:
        return False
    return (utf8_size(data) if isinstance(data, str) else len(data)) > limit_bytes


def decode_payload(body: str, max_packets: int) -> Iterator[str | bytes]:
    """Decode a polling body packet by packet: text with its type digit, or the bytes of a binary message.

    Packets before a malformed one are yielded before the error is raised, as in the JavaScript server.

    Raises:
        PacketError: a packet is empty, of unknown type, or malformed base64. Or the body has more than
            `max_packets` packets; then none is yielded.
    """
    records = body.split(SEPARATOR, max_packets)
    if len(records) > max_packets:
        raise PacketError(
            f"polling body has more than {max_packets} packets; raise max_payload_packets to accept it"
        )
    return map(decode_packet, records)


def decode_packet(record: str) -> str | bytes:
    """Decode one packet of a polling body.

    Raises:
        PacketError: it is empty, of unknown type, or malformed base64.
    """
    kind = record[:1]
    if kind in _PACKET_TYPES:
        return record
    if kind != "b":
        raise PacketError(f"Engine.IO packet has the unknown type {kind!r}")
    try:
        return binascii.a2b_base64(record[1:], strict_mode=True)
    except ValueError:
        return _decode_unusual_base64(record[1:])


def _decode_unusual_base64(text: str) -> bytes:
    """Decode base64 with line feeds, with the URL-safe letters or without padding, as some clients send it."""
    plain = text.translate(_BASE64_LETTERS)
    try:
        return binascii.a2b_base64(plain + "=" * (-len(plain) % 4), strict_mode=True)
    except ValueError as error:
        raise PacketError("binary packet has malformed base64") from error


def _ws_frames(packets: tuple[str | bytes, ...]) -> bytes:
    return encode_frame(packets[0]) if len(packets) == 1 else b"".join(map(encode_frame, packets))


def _deflated_frames(packets: tuple[str | bytes, ...]) -> bytes:
    return b"".join(map(deflate_frame, packets))


def _polling(packets: tuple[str | bytes, ...]) -> bytes:
    return _SEPARATOR_BYTES.join(map(_record, packets))


def _record(packet: str | bytes) -> bytes:
    if isinstance(packet, str):
        return packet.encode()
    return b"b" + binascii.b2a_base64(packet, newline=False)


def _size_bytes(packets: tuple[str | bytes, ...]) -> int:
    return sum([utf8_size(packet) if isinstance(packet, str) else len(packet) for packet in packets])


PING = Prepared(["2"])
PROBE_RESPONSE = Prepared(["3probe"])
CLOSE = Prepared(["1"])
NOOP = Prepared(["6"])
