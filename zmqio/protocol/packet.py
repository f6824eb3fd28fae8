"""The Socket.IO packet as a value, and the forms of an encoded packet.

Must not know any parser: `zmqio.protocol.parser` turns a `Packet` into `Frames` and back.

Source: https://github.com/socketio/socket.io-protocol (version 5), "Packet encoding".
"""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from enum import IntEnum
from typing import Any, TypeAlias

import msgpack

from zmqio.exceptions import PacketError

__all__ = [
    "MAX_ACK_ID",
    "RESERVED_EVENTS",
    "AckableFrames",
    "Frames",
    "Packet",
    "PacketType",
    "check_data",
    "check_namespace",
    "number_text",
]

Frames: TypeAlias = tuple[str | bytes, ...]
"""One encoded packet: the header (a string, or bytes with a binary parser), then its binary attachments in order.
Each is one Engine.IO message."""

RESERVED_EVENTS = frozenset(
    {"connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"}
)
"""Event names that clients may not use.

Source: socket.io-parser 4.2 `RESERVED_EVENTS`.
"""

MAX_ACK_ID = 2**53 - 1
"""The largest id that JavaScript reads exactly (`Number.MAX_SAFE_INTEGER`)."""


class PacketType(IntEnum):
    """Packet types. The numbers are part of the wire format."""

    CONNECT = 0
    DISCONNECT = 1
    EVENT = 2
    ACK = 3
    CONNECT_ERROR = 4
    BINARY_EVENT = 5
    BINARY_ACK = 6


@dataclass(slots=True)
class Packet:
    """One Socket.IO packet. Not to be changed; it is not frozen, because each event makes one or two packets, and
    a frozen dataclass takes five times as long to make.

    Attributes:
        type: the packet type. A parser chooses between EVENT and BINARY_EVENT (ACK and BINARY_ACK) itself. Like
            the JavaScript parser, it returns a decoded binary packet as EVENT (ACK) with its attachments in place.
        namespace: begins with `/`.
        data: EVENT: a list of the event name and its arguments; ACK: a list of arguments; CONNECT: an object or
            None; CONNECT_ERROR: an object or a string; DISCONNECT: None.
        id: the acknowledgement id; None requests no acknowledgement. 0 is a valid id.
    """

    type: PacketType
    namespace: str = "/"
    data: Any = None
    id: int | None = None


@dataclass(frozen=True, slots=True)
class AckableFrames:
    """An encoded EVENT without its acknowledgement id.

    Each node fills in its own id without parsing user data. The three plain fields fit in a message between nodes.

    Attributes:
        head: the part before the id. After a string the id is written in decimal digits, after bytes (msgpack
            parser) as a msgpack unsigned integer.
        tail: the part after the id; of the same type as `head`.
        attachments: binary attachments in order, as in `Frames`.
    """

    head: str | bytes
    tail: str | bytes
    attachments: tuple[bytes, ...] = ()

    def fill(self, ack_id: int) -> Frames:
        """Return the packet with `ack_id` (0 to `MAX_ACK_ID`)."""
        if isinstance(self.head, str):
            return (f"{self.head}{ack_id}{self.tail!s}", *self.attachments)
        packed_id: bytes = msgpack.packb(ack_id)
        return (b"".join((self.head, packed_id, self.tail)), *self.attachments)  # type: ignore[arg-type]


def check_data(kind: PacketType, data: Any) -> None:
    """Check that a packet of this type may carry `data`; None means no data.

    Source: socket.io-parser 4.2 `isDataValid`.

    Raises:
        PacketError: a packet of this type cannot carry `data`.
    """
    if not _RULES[kind](data):
        raise PacketError(f"a {kind.name} packet carries {_EXPECTED[kind]}, not {_describe(data)}")


def check_namespace(namespace: str) -> None:
    """Check that a packet can name this namespace: it begins with `/`, without a `,` or a lone surrogate.

    Raises:
        PacketError: the name is invalid.
    """
    if namespace[:1] != "/" or "," in namespace:
        raise PacketError(f"namespace {namespace!r:.80} must begin with '/' and must not contain ','")
    if not namespace.isascii():
        try:
            namespace.encode()
        except UnicodeEncodeError as error:
            raise PacketError(
                f"namespace {namespace!r:.80} cannot be encoded as UTF-8 (lone surrogate)"
            ) from error


def number_text(number: float) -> str:
    """Return a number as JavaScript writes it: a client's event name may be one, and its handler has this text.

    Source: ECMA-262, Number::toString: as digits below 1e21, with an exponent below 1e-6.
    """
    if abs(number) >= 1e21 or 0 < abs(number) < 1e-6:
        digits, exponent = repr(float(number)).split("e")
        return f"{digits.removesuffix('.0')}e{int(exponent):+d}"
    if number == int(number):
        return str(int(number))
    text = repr(number)
    return format(Decimal(text), "f") if "e" in text else text


def _is_event(data: Any) -> bool:
    if type(data) is not list or not data:
        return False
    name = data[0]
    if type(name) is str:
        return name not in RESERVED_EVENTS
    return type(name) in {int, float}


def _is_list(data: Any) -> bool:
    return type(data) is list


_RULES: dict[PacketType, Callable[[Any], bool]] = {
    PacketType.CONNECT: lambda data: data is None or type(data) is dict,
    PacketType.DISCONNECT: lambda data: data is None,
    PacketType.EVENT: _is_event,
    PacketType.ACK: _is_list,
    PacketType.CONNECT_ERROR: lambda data: type(data) in {str, dict},
    PacketType.BINARY_EVENT: _is_event,
    PacketType.BINARY_ACK: _is_list,
}
_EVENT_EXPECTED = "a list that begins with an event name that is not reserved"
_EXPECTED = {
    PacketType.CONNECT: "an object or nothing",
    PacketType.DISCONNECT: "nothing",
    PacketType.EVENT: _EVENT_EXPECTED,
    PacketType.ACK: "a list",
    PacketType.CONNECT_ERROR: "an object or a string",
    PacketType.BINARY_EVENT: _EVENT_EXPECTED,
    PacketType.BINARY_ACK: "a list",
}


def _describe(data: Any) -> str:
    if type(data) is list:
        return f"a list that begins with {data[0]!r:.40}" if data else "an empty list"
    return "nothing" if data is None else f"a value of type {type(data).__name__!r}"
