"""Tests of `zmqio.python_socketio.parsers`: packets are those that python-socketio writes."""

import datetime
import json
from types import SimpleNamespace
from typing import Any

import pytest
from socketio.msgpack_packet import MsgPackPacket
from socketio.packet import EVENT, Packet

from zmqio.exceptions import ConfigError, PacketError
from zmqio.protocol import packet as p
from zmqio.protocol.parser import JsonParser
from zmqio.python_socketio.parsers import parser_of

DATA = ["hello", 1, {"deep": [b"\x00", None]}, "\u00fc", b"more"]


def theirs(packet_class: Any, ack_id: int | None) -> tuple[str | bytes, ...]:
    encoded = packet_class(EVENT, list(DATA), namespace="/chat", id=ack_id).encode()
    return tuple(encoded) if isinstance(encoded, list) else (encoded,)


def test_json_packets_mean_the_same() -> None:
    parser = parser_of(Packet)
    assert type(parser) is JsonParser
    mine = parser.encode(p.Packet(p.PacketType.EVENT, "/chat", list(DATA), 7))
    for frames in (mine, theirs(Packet, 7)):
        decoded = Packet(encoded_packet=frames[0])
        for attachment in frames[1:]:
            decoded.add_attachment(attachment)
        assert (decoded.namespace, decoded.id, decoded.data) == ("/chat", 7, DATA)


def test_msgpack_packets_mean_the_same() -> None:
    frames = parser_of(MsgPackPacket).encode(p.Packet(p.PacketType.EVENT, "/chat", list(DATA), 7))
    decoded = MsgPackPacket(encoded_packet=frames[0])
    assert (decoded.namespace, decoded.id, decoded.data) == ("/chat", 7, DATA)


def test_a_json_module_of_the_application_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    module = SimpleNamespace(dumps=lambda value, **options: json.dumps(value, default=str, **options))
    monkeypatch.setattr(Packet, "json", module)
    parser = parser_of(Packet)
    day = datetime.date(2026, 11, 30)
    assert parser.encode(p.Packet(p.PacketType.EVENT, "/", ["day", day, b"1"])) == (
        '51-["day","2026-11-30",{"_placeholder":true,"num":0}]',
        b"1",
    )
    assert parser.encode_ackable(p.Packet(p.PacketType.EVENT, "/", ["day", day])).fill(3) == (
        '23["day","2026-11-30"]',
    )
    monkeypatch.setattr(Packet, "json", SimpleNamespace(dumps=json.dumps))
    with pytest.raises(PacketError, match="not JSON serializable"):
        parser_of(Packet).encode(p.Packet(p.PacketType.EVENT, "/", ["day", day]))


def test_other_packet_classes_are_refused() -> None:
    class Extended(MsgPackPacket):  # type: ignore[misc]
        """A packet with types of its own."""

    with pytest.raises(ConfigError, match="'default' or 'msgpack'"):
        parser_of(Extended)
