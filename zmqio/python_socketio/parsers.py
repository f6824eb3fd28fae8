"""The parser of zmqio that writes packets as a server of python-socketio writes them."""

import json as stdlib_json
from collections.abc import Callable
from types import ModuleType
from typing import Any

from engineio import json as engineio_json
from socketio.msgpack_packet import MsgPackPacket
from socketio.packet import Packet

from zmqio.exceptions import ConfigError, PacketError
from zmqio.protocol.msgpack_parser import MsgpackParser
from zmqio.protocol.parser import JsonParser, Parser

__all__ = ["parser_of"]


def parser_of(packet_class: Any) -> Parser:
    """Return the parser for a server's `packet_class`, which its options `serializer` and `json` decide.

    Raises:
        ConfigError: the packet class is neither JSON nor plain msgpack.
    """
    if packet_class is MsgPackPacket:
        return MsgpackParser()
    if packet_class is not Packet:
        raise ConfigError(
            f"serializer={packet_class!r} cannot be used with zmqio: nodes exchange encoded packets; use "
            "'default' or 'msgpack' on every node"
        )
    if packet_class.json in (engineio_json, stdlib_json):
        return JsonParser()
    return JsonParser(encode=_encoder(packet_class, packet_class.json))


def _encoder(packet_class: Any, json: ModuleType) -> Callable[[Any], tuple[str, tuple[bytes, ...]]]:
    """Return a function that encodes a value with the `json` module of a server."""

    separate = getattr(packet_class, "deconstruct_binary", None)
    if separate is None:  # before python-socketio 5.14
        separate = packet_class()._deconstruct_binary

    def encode(value: Any) -> tuple[str, tuple[bytes, ...]]:
        plain, attachments = separate(value)
        try:
            text = json.dumps(plain, separators=(",", ":"))
        except (TypeError, ValueError, RecursionError) as error:
            raise PacketError(f"the server's json module cannot encode the event: {error}") from error
        return text if isinstance(text, str) else text.decode(), tuple(map(bytes, attachments))

    return encode
