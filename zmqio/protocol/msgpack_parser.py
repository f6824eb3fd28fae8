"""The msgpack parser: one binary frame per packet, which contains the binary values.

Compatible with `socket.io-msgpack-parser` on the client. Unlike the JSON parser, it replaces a lone surrogate
with `?`. Values follow the same rule (`value_limits`), so NaN and Infinity are neither sent nor accepted. A
JavaScript `Date`, and a typed array sent by Node.js, both arrive as bytes, because that parser gives them the same
extension type; send a number or a string instead.

Source: npm socket.io-msgpack-parser 3.0 and its notepack.io 2.2; the payload rules are those of `JsonParser`.
"""

from reprlib import repr as short_repr
from typing import Any

import msgpack

from zmqio.exceptions import PacketError
from zmqio.protocol.msgpack_input import unpack
from zmqio.protocol.packet import (
    MAX_ACK_ID,
    AckableFrames,
    Frames,
    Packet,
    PacketType,
    check_data,
    check_namespace,
)
from zmqio.protocol.parser import Decoder
from zmqio.protocol.value_limits import check_packed
from zmqio.protocol.values import plain

__all__ = ["MsgpackParser"]

_ID_KEY: bytes = msgpack.packb("id")
_UNDEFINED = b"\0"
_NOTEPACK_CODE = 0
_UNIX_SECONDS = 1


class MsgpackParser:
    """Use it on both sides: as `parser` of the server and of the JavaScript client. See `Parser`."""

    format_name = "msgpack"

    def encode(self, packet: Packet) -> Frames:
        """Encode one packet as one binary frame."""
        fields = _fields(packet)
        if packet.id is not None:
            fields["id"] = packet.id
        return (_pack(fields),)

    def encode_ackable(self, packet: Packet) -> AckableFrames:
        """Encode an EVENT so that appending its ack id, as a msgpack integer, completes it."""
        if packet.type not in {PacketType.EVENT, PacketType.BINARY_EVENT}:
            raise PacketError(f"only an EVENT can request an acknowledgement, not {packet.type.name}")
        fields = _fields(packet)
        # Add one map entry: the size of the map is the low half of the first byte.
        packed = _pack(fields)
        return AckableFrames(bytes((packed[0] + 1,)) + packed[1:] + _ID_KEY, b"")

    def append_argument(self, frames: Frames, text: str) -> Frames:
        """Append a string to an encoded EVENT. See `AppendingParser`."""
        packed = frames[0]
        if not isinstance(packed, bytes):
            return frames
        at = _arguments_at(packed)
        if at is None:
            return frames
        begin, end, count = at
        header: bytes = _packer.pack_array_header(count + 1)
        return (b"".join((packed[:begin], header, packed[end:], _packer.pack(text))),)

    def decoder(self) -> Decoder:
        """Make the decoder of one connection."""
        return _MsgpackDecoder()


class _MsgpackDecoder:
    @property
    def pending(self) -> bool:
        return False

    def add(self, data: str | bytes) -> Packet | None:
        if isinstance(data, str):
            raise PacketError("received text, but with the msgpack parser every packet is binary")
        fields = _unpack(data)
        if type(fields) is not dict:
            raise PacketError("a packet must be a msgpack map")
        check_packed(data, fields.get("data"))
        kind, namespace, ack_id = fields.get("type"), fields.get("nsp"), fields.get("id")
        if type(kind) is not int or not PacketType.CONNECT <= kind <= PacketType.CONNECT_ERROR:
            raise PacketError(f"packet type {short_repr(kind):.40} is not one of 0 to 4")
        if type(namespace) is not str:
            raise PacketError(f"the namespace of a packet must be a string, not {short_repr(namespace):.40}")
        check_namespace(namespace)
        if ack_id is not None and (type(ack_id) is not int or not 0 <= ack_id <= MAX_ACK_ID):
            raise PacketError(f"ack id {short_repr(ack_id):.40} is not an integer from 0 to {MAX_ACK_ID}")
        check_data(PacketType(kind), fields.get("data"))
        return Packet(PacketType(kind), namespace, fields.get("data"), ack_id)


def _arguments_at(packed: bytes) -> tuple[int, int, int] | None:
    """Find the header of the argument list, which is the last value of a packet: (begin, end, arguments).

    None if the packet does not have the form of `MsgpackParser.encode`.
    """
    name = packed[_NAMESPACE_AT : _NAMESPACE_AT + 1]
    if not packed.startswith(_EVENT_START) or not name:
        return None
    size, header = _sizes_of(packed, _NAMESPACE_AT, short=(0xA0, 0x1F), longer={0xD9: 1, 0xDA: 2, 0xDB: 4})
    begin = _NAMESPACE_AT + header + size + len(_DATA_KEY)
    if packed[begin - len(_DATA_KEY) : begin] != _DATA_KEY or begin >= len(packed):
        return None
    count, header = _sizes_of(packed, begin, short=(0x90, 0x0F), longer={0xDC: 2, 0xDD: 4})
    return (begin, begin + header, count) if count else None


def _sizes_of(packed: bytes, at: int, *, short: tuple[int, int], longer: dict[int, int]) -> tuple[int, int]:
    """Read a msgpack header: (size of the value, size of the header); (0, 1) if it is of another kind."""
    first, (prefix, mask) = packed[at], short
    if first & ~mask & 0xFF == prefix:
        return first & mask, 1
    digits = longer.get(first, 0)
    return int.from_bytes(packed[at + 1 : at + 1 + digits], "big"), 1 + digits


_packer = msgpack.Packer()
_EVENT_START: bytes = _packer.pack_map_header(3) + msgpack.packb("type") + b"\x02" + msgpack.packb("nsp")
_NAMESPACE_AT = len(_EVENT_START)
_DATA_KEY: bytes = msgpack.packb("data")
_PLAIN_TYPE = {PacketType.BINARY_EVENT: PacketType.EVENT, PacketType.BINARY_ACK: PacketType.ACK}


def _fields(packet: Packet) -> dict[str, Any]:
    check_namespace(packet.namespace)
    fields: dict[str, Any] = {
        "type": int(_PLAIN_TYPE.get(packet.type, packet.type)),
        "nsp": packet.namespace,
    }
    if packet.data is not None:
        fields["data"] = plain(packet.data)
    return fields


def _pack(fields: dict[str, Any]) -> bytes:
    try:
        packed = _packb(fields)
    except UnicodeEncodeError:
        packed = _packb(fields, unicode_errors="replace")
    check_packed(packed, fields.get("data"))
    return packed


def _packb(fields: dict[str, Any], unicode_errors: str | None = None) -> bytes:
    try:
        # Integers beyond 64 bits are sent as floats, which JSON.parse in JavaScript would also return.
        packed: bytes = msgpack.packb(fields, default=float, unicode_errors=unicode_errors)
    except UnicodeEncodeError:
        raise
    except (ValueError, OverflowError, RecursionError) as error:
        raise PacketError(f"a value is too large or nested too deeply ({error})") from error
    return packed


def _unpack(data: bytes) -> Any:
    try:
        return unpack(data, ext_hook=_read_extension, timestamp=_UNIX_SECONDS)
    except (ValueError, msgpack.UnpackException, RecursionError) as error:
        raise PacketError(f"a packet is not msgpack: {error}") from error


def _read_extension(code: int, data: bytes) -> bytes | None:
    if code != _NOTEPACK_CODE:
        raise PacketError(f"extension type {code} is unknown")
    return None if data == _UNDEFINED else data
