"""Encoding and decoding of packets: the contract of a parser, and the default parser (JSON text).

Knows packets and bytes; must not know clients or connections.

Source: https://github.com/socketio/socket.io-protocol (version 5). Malformed packets are refused by the rules of
socket.io-parser 4.2, and also in three cases that it accepts. It accepts texts that only JavaScript converts to
numbers (an empty packet as CONNECT, "1e1" attachments, a space as an ack id), ack ids beyond its number range, and
an EVENT, ACK or CONNECT_ERROR without a payload.
"""

import re
from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

from zmqio.exceptions import PacketError
from zmqio.protocol.json_text import decode_json, encode_json, fill_placeholders
from zmqio.protocol.packet import (
    MAX_ACK_ID,
    AckableFrames,
    Frames,
    Packet,
    PacketType,
    check_data,
    check_namespace,
)

__all__ = ["MAX_ATTACHMENTS", "AppendingParser", "Decoder", "JsonParser", "Parser", "format_of"]

EncodeValue: TypeAlias = Callable[[Any], tuple[str, tuple[bytes, ...]]]
"""Encodes a value as JSON text with placeholders, and returns its binary values beside the text."""

MAX_ATTACHMENTS = 10
"""Most binary attachments of one packet. Source: socket.io-parser 4.2.6 `maxAttachments`."""


class Decoder(Protocol):
    """Assembles the packets of one connection. After an error it is unusable: close the connection."""

    @property
    def pending(self) -> bool:
        """Whether a packet is waiting for binary attachments."""

    def add(self, data: str | bytes) -> Packet | None:
        """Add one Engine.IO message; return the packet that it completes, if any.

        Raises:
            PacketError: the message is malformed, or not expected now.
        """


class Parser(Protocol):
    """Encodes packets, and makes a decoder for each connection. It has no state."""

    def encode(self, packet: Packet) -> Frames:
        """Encode one packet.

        Raises:
            PacketError: a value cannot be encoded; the text names its type.
        """

    def encode_ackable(self, packet: Packet) -> AckableFrames:
        """Encode an EVENT without its ack id; `packet.id` is ignored.

        Raises:
            PacketError: a value cannot be encoded, or the packet is not an EVENT.
        """

    def decoder(self) -> Decoder:
        """Make the decoder of one connection."""


class AppendingParser(Parser, Protocol):
    """A parser that appends an argument to an encoded event, as connection state recovery requires."""

    def append_argument(self, frames: Frames, text: str) -> Frames:
        """Append a string to the arguments of an EVENT that requests no acknowledgement.

        Frames of another parser are returned as they are.

        Args:
            frames: the encoded packet.
            text: ASCII characters without quotation marks and backslashes; at most 65,535.
        """


def format_of(parser: Parser) -> str:
    """Return the name of the format that a parser writes: its `format_name`, or else the name of its class."""
    return str(getattr(parser, "format_name", type(parser).__name__))


class JsonParser:
    """The default parser: JSON text, followed by binary values as attachments.

    Args:
        max_attachments: most attachments per packet. A packet with more is refused in both directions, because it
            makes the JavaScript client (4.2.6 and later) drop its connection.
        encode: encodes a value as text and binary values; by default `encode_json`.
    """

    format_name = "json"

    def __init__(self, max_attachments: int = MAX_ATTACHMENTS, encode: EncodeValue = encode_json) -> None:
        self._max_attachments = max_attachments
        self._encode_value = encode

    def encode(self, packet: Packet) -> Frames:
        """Encode one packet: the header text, then its attachments. See `Parser.encode`."""
        payload, attachments = self._payload(packet)
        ack_id = "" if packet.id is None else packet.id
        if packet.namespace == "/" and not attachments:
            return (f"{_DIGITS[packet.type]}{ack_id}{payload}",)
        return (f"{_head(packet, len(attachments))}{ack_id}{payload}", *attachments)

    def encode_ackable(self, packet: Packet) -> AckableFrames:
        """Encode an EVENT without its ack id. See `Parser.encode_ackable`."""
        if packet.type not in {PacketType.EVENT, PacketType.BINARY_EVENT}:
            raise PacketError(f"only an EVENT can request an acknowledgement, not {packet.type.name}")
        payload, attachments = self._payload(packet)
        return AckableFrames(_head(packet, len(attachments)), payload, attachments)

    def append_argument(self, frames: Frames, text: str) -> Frames:
        """Append a string to an encoded EVENT. See `AppendingParser`."""
        head = frames[0]
        if not isinstance(head, str) or head[-1:] != "]":
            return frames
        head = f'{head[:-1]},"{text}"]'
        return (head,) if len(frames) == 1 else (head, *frames[1:])

    def decoder(self) -> Decoder:
        """Make the decoder of one connection."""
        return _JsonDecoder(self._max_attachments)

    def _payload(self, packet: Packet) -> tuple[str, tuple[bytes, ...]]:
        if packet.data is None:
            return "", ()
        payload, attachments = self._encode_value(packet.data)
        if attachments:
            self._check_attachments(packet.type, len(attachments))
        return payload, attachments

    def _check_attachments(self, kind: PacketType, count: int) -> None:
        if kind not in _BINARY_FORM:
            raise PacketError(f"a {kind.name} packet cannot carry binary values")
        if count > self._max_attachments:
            raise PacketError(
                f"{count} binary values in one packet are over the limit of {self._max_attachments}; "
                "send fewer, or join them into one"
            )


class _JsonDecoder:
    __slots__ = ("_attachments", "_max_attachments", "_missing", "_waiting")

    def __init__(self, max_attachments: int) -> None:
        self._max_attachments = max_attachments
        self._waiting: Packet | None = None
        self._missing = 0
        self._attachments: list[bytes] = []

    @property
    def pending(self) -> bool:
        return self._waiting is not None

    def add(self, data: str | bytes) -> Packet | None:
        if isinstance(data, str):
            if self._waiting is not None:
                raise PacketError(f"received text while a packet waits for {self._missing} binary attachments")
            return self._add_text(data)
        if self._waiting is None:
            raise PacketError("received a binary attachment while no packet waits for one")
        return self._add_attachment(self._waiting, data)

    def _add_text(self, text: str) -> Packet | None:
        header = _HEADER.match(text)
        if header is None:
            raise PacketError(f"{text[:20]!r} does not begin a packet")
        plain, binary, count, namespace, ack_id = header.groups()
        kind = _TYPES[plain or binary]
        data = _decode_payload(kind, text, header.end())
        packet = Packet(kind, namespace or "/", data, _parse_ack_id(ack_id) if ack_id else None)
        if binary is None:
            return packet
        self._waiting, self._missing = packet, self._parse_count(count)
        return None

    def _parse_count(self, digits: str) -> int:
        # Check the length first, because int() of a long string is slow.
        count = int(digits) if len(digits) < 10 else self._max_attachments + 1
        if count < 1:
            raise PacketError("a binary packet announces no attachments")
        if count > self._max_attachments:
            raise PacketError(f"a packet announces {digits:.20} attachments; the limit is {self._max_attachments}")
        return count

    def _add_attachment(self, packet: Packet, data: bytes) -> Packet | None:
        self._attachments.append(data)
        self._missing -= 1
        if self._missing:
            return None
        attachments, self._attachments, self._waiting = self._attachments, [], None
        fill_placeholders(packet.data, attachments)
        return packet


_HEADER = re.compile(
    r"(?:([0-4])|([56])([0-9]+)-)"  # type; attachments of a binary one
    r"(?:(/[^,]*)(?:,|\Z))?"  # namespace
    r"([0-9]*)",  # ack id
)
_TYPES = {
    "0": PacketType.CONNECT,
    "1": PacketType.DISCONNECT,
    "2": PacketType.EVENT,
    "3": PacketType.ACK,
    "4": PacketType.CONNECT_ERROR,
    # As in JavaScript, the packet becomes an EVENT or ACK once its attachments are in place.
    "5": PacketType.EVENT,
    "6": PacketType.ACK,
}
_DIGITS = ("0", "1", "2", "3", "4", "2", "3")
_BINARY_FORM = {
    PacketType.EVENT: "5",
    PacketType.ACK: "6",
    PacketType.BINARY_EVENT: "5",
    PacketType.BINARY_ACK: "6",
}


def _head(packet: Packet, attachment_count: int) -> str:
    head = f"{_BINARY_FORM[packet.type]}{attachment_count}-" if attachment_count else _DIGITS[packet.type]
    if packet.namespace == "/":
        return head
    check_namespace(packet.namespace)
    return f"{head}{packet.namespace},"


def _parse_ack_id(digits: str) -> int:
    ack_id = int(digits) if len(digits) < 20 else MAX_ACK_ID + 1
    if ack_id > MAX_ACK_ID:
        raise PacketError(f"ack id {digits:.30} is over the limit of {MAX_ACK_ID}")
    return ack_id


def _decode_payload(kind: PacketType, text: str, start: int) -> object:
    if start == len(text):
        check_data(kind, None)
        return None
    data = decode_json(text, start)
    if data is None:
        raise PacketError(f"a {kind.name} packet cannot carry null")
    check_data(kind, data)
    return data
