"""The Socket.IO packet as a value, and the shapes that it takes once it is encoded.

Knows no parser: `zmqio.protocol.parser` turns a `Packet` into `Frames` and back.

Source: https://github.com/socketio/socket.io-protocol (version 5), "Packet encoding".
"""

from collections.abc import Callable
from dataclasses import dataclass
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
]

Frames: TypeAlias = tuple[str | bytes, ...]
"""One encoded packet: first the header (text; bytes with a binary parser), then its binary attachments in
order. Each is one Engine.IO message."""

RESERVED_EVENTS = frozenset(
    {"connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"}
)
"""Names that no client may use for an event.

Source: socket.io-parser 4.2 `RESERVED_EVENTS`.
"""

MAX_ACK_ID = 2**53 - 1
"""The largest id that JavaScript reads exactly (`Number.MAX_SAFE_INTEGER`)."""


class PacketType(IntEnum):
    """What a packet is. The numbers are on the wire."""

    CONNECT = 0
    DISCONNECT = 1
    EVENT = 2
    ACK = 3
    CONNECT_ERROR = 4
    BINARY_EVENT = 5
    BINARY_ACK = 6


@dataclass(frozen=True, slots=True)
class Packet:
    """One Socket.IO packet.

    Attributes:
        type: what it is. A parser chooses between EVENT and BINARY_EVENT (ACK and BINARY_ACK) itself, and
            gives a decoded binary packet back as EVENT (ACK) with its attachments in place, as the JS parser
            does.
        namespace: begins with `/`.
        data: EVENT: list of the event name and its arguments; ACK: list of arguments; CONNECT: an object or
            None; CONNECT_ERROR: an object or a string; DISCONNECT: None.
        id: the acknowledgement id; None when none is asked for. 0 is a valid id.
    """

    type: PacketType
    namespace: str = "/"
    data: Any = None
    id: int | None = None


@dataclass(frozen=True, slots=True)
class AckableFrames:
    """An encoded EVENT with a hole for its acknowledgement id.

    Each node fills in an id of its own without parsing user data. Three plain fields, so that it travels in
    an envelope as it is.

    Attributes:
        head: what precedes the id. Text: the id is written in decimal digits. Bytes (a msgpack parser): it is
            written as a msgpack unsigned integer.
        tail: what follows the id; of the type of `head`.
        attachments: binary attachments in order, as in `Frames`.
    """

    head: str | bytes
    tail: str | bytes
    attachments: tuple[bytes, ...] = ()

    def fill(self, ack_id: int) -> Frames:
        """Write `ack_id` (0 to `MAX_ACK_ID`) into the hole."""
        if isinstance(self.head, str):
            return (f"{self.head}{ack_id}{self.tail!s}", *self.attachments)
        hole: bytes = msgpack.packb(ack_id)
        return (b"".join((self.head, hole, self.tail)), *self.attachments)  # type: ignore[arg-type]


def check_data(kind: PacketType, data: Any) -> None:
    """Check that `data` is what a packet of this type may carry; None means that it carries none.

    Source: socket.io-parser 4.2 `isDataValid`.

    Raises:
        PacketError: it is not.
    """
    if not _RULES[kind](data):
        raise PacketError(f"a {kind.name} packet carries {_EXPECTED[kind]}, not {_describe(data)}")


def check_namespace(namespace: str) -> None:
    """Check that a packet can name this namespace: it begins with `/`, and has no `,` and no lone surrogate.

    Raises:
        PacketError: it cannot.
    """
    if namespace[:1] != "/" or "," in namespace:
        raise PacketError(f"namespace {namespace!r:.80} has to begin with '/' and must not have a ',' in it")
    if not namespace.isascii():
        try:
            namespace.encode()
        except UnicodeEncodeError as error:
            raise PacketError(f"namespace {namespace!r:.80} has no UTF-8 form") from error


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
    PacketType.CONNECT_ERROR: "an object or a text",
    PacketType.BINARY_EVENT: _EVENT_EXPECTED,
    PacketType.BINARY_ACK: "a list",
}


def _describe(data: Any) -> str:
    if type(data) is list:
        return f"a list that begins with {data[0]!r:.40}" if data else "an empty list"
    return "nothing" if data is None else f"a value of type {type(data).__name__!r}"
