"""Values that no parser knows, converted by the application's function."""

from dataclasses import asdict, dataclass, is_dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from zmqio.exceptions import PacketError
from zmqio.protocol.converting_parser import ConvertingParser
from zmqio.protocol.msgpack_parser import MsgpackParser
from zmqio.protocol.packet import Packet, PacketType
from zmqio.protocol.parser import JsonParser

PARSERS = (JsonParser(), MsgpackParser())


@dataclass
class Order:
    at: datetime
    price: Decimal
    image: bytes = b"\x00"


NOW = datetime(2026, 11, 30, tzinfo=UTC)


def default(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, datetime | UUID | Decimal):
        return str(value)
    raise TypeError("unknown")


def event(*args: Any) -> Packet:
    return Packet(PacketType.EVENT, "/", ["order", *args], 7)


def decoded(parser: Any, frames: Any) -> Any:
    decoder = parser.decoder()
    (packet,) = [packet for frame in frames if (packet := decoder.add(frame)) is not None]
    return packet.data


@pytest.mark.parametrize("parser", PARSERS)
def test_values_are_converted_at_any_depth(parser: Any) -> None:
    converting = ConvertingParser(parser, default)
    value = {"id": UUID(int=1), "orders": (Order(NOW, Decimal("1.50")), [None, True, 2.5])}
    assert decoded(parser, converting.encode(event(value))) == [
        "order",
        {
            "id": "00000000-0000-0000-0000-000000000001",
            "orders": [{"at": str(NOW), "price": "1.50", "image": b"\x00"}, [None, True, 2.5]],
        },
    ]


@pytest.mark.parametrize("parser", PARSERS)
def test_packet_without_such_values_is_encoded_as_by_the_inner_parser(parser: Any) -> None:
    converting = ConvertingParser(parser, lambda value: 1 / 0)
    assert converting.encode(event({"a": [1, b"x"]})) == parser.encode(event({"a": [1, b"x"]}))
    assert converting.encode_ackable(event("a")) == parser.encode_ackable(event("a"))


@pytest.mark.parametrize("parser", PARSERS)
def test_acknowledgeable_event_is_converted_too(parser: Any) -> None:
    converting = ConvertingParser(parser, default)
    assert converting.encode_ackable(event(NOW)) == parser.encode_ackable(event(str(NOW)))


@pytest.mark.parametrize("parser", PARSERS)
@pytest.mark.parametrize(
    ("function", "value", "words"),
    [
        (default, object(), "'object' cannot be sent; `default` raised: unknown"),
        (lambda value: value, object(), "contains itself"),
        (lambda value: [value], object(), "contains itself"),
        (default, float("nan"), "NaN|finite|number"),
    ],
)
def test_value_without_a_form_is_refused(parser: Any, function: Any, value: Any, words: str) -> None:
    with pytest.raises(PacketError, match=words):
        ConvertingParser(parser, function).encode(event(value))


@pytest.mark.parametrize("parser", PARSERS)
def test_packets_are_decoded_by_the_parser_below(parser: Any) -> None:
    decoder = ConvertingParser(parser, default).decoder()
    received = [decoder.add(frame) for frame in parser.encode(event(1))]
    assert received[-1] == event(1)


@pytest.mark.parametrize("parser", PARSERS)
def test_an_argument_is_appended_by_the_parser_below(parser: Any) -> None:
    frames = parser.encode(event(1))
    assert ConvertingParser(parser, default).append_argument(frames, "x") == parser.append_argument(frames, "x")
