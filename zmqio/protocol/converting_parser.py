"""A parser that converts values which its inner parser cannot encode, with a function of the application.

A packet that the inner parser accepts costs nothing more. Only a refused one is converted and encoded again.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar, cast

from zmqio.exceptions import PacketError
from zmqio.protocol.packet import AckableFrames, Frames, Packet
from zmqio.protocol.parser import AppendingParser, Decoder, Parser, format_of
from zmqio.protocol.value_limits import MAX_DEPTH

__all__ = ["ConvertingParser", "Default"]

Default = Callable[[Any], Any]
"""Returns a value that can be sent for one that cannot; raises TypeError if it has none. As in `json.dumps`."""

Encoded = TypeVar("Encoded")

_SENDABLE = (str, int, float, bytes, bytearray, memoryview, type(None))


class ConvertingParser:
    """Encodes like `parser`, after `default` has replaced the values that it refuses. See `Parser`."""

    def __init__(self, parser: Parser, default: Default) -> None:
        self._parser = parser
        self._default = default
        self.format_name = format_of(parser)

    def encode(self, packet: Packet) -> Frames:
        """Encode one packet. See `Parser.encode`."""
        return self._convert_if_refused(self._parser.encode, packet)

    def encode_ackable(self, packet: Packet) -> AckableFrames:
        """Encode an EVENT without its ack id. See `Parser.encode_ackable`."""
        return self._convert_if_refused(self._parser.encode_ackable, packet)

    def append_argument(self, frames: Frames, text: str) -> Frames:
        """Append a string to an encoded EVENT. See `AppendingParser`."""
        return cast(AppendingParser, self._parser).append_argument(frames, text)

    def decoder(self) -> Decoder:
        """Make the decoder of one connection."""
        return self._parser.decoder()

    def _convert_if_refused(self, encode: Callable[[Packet], Encoded], packet: Packet) -> Encoded:
        try:
            return encode(packet)
        except PacketError:
            converted = self._converted(packet.data, MAX_DEPTH)
            return encode(replace(packet, data=converted))

    def _converted(self, value: Any, depth: int) -> Any:
        if isinstance(value, _SENDABLE):
            return value
        if depth < 0:
            raise PacketError(f"a value is nested more than {MAX_DEPTH} deep, or contains itself")
        if isinstance(value, dict):
            return {key: self._converted(item, depth - 1) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self._converted(item, depth - 1) for item in value]
        return self._converted(self._ask(value), depth - 1)

    def _ask(self, value: Any) -> Any:
        try:
            return self._default(value)
        except TypeError as error:
            kind = type(value).__name__
            raise PacketError(f"a value of type {kind!r} cannot be sent; `default` raised: {error}") from error
