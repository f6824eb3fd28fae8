"""Values that cannot be sent are not accepted: one rule for both parsers and publish requests, in and out."""

import gc
import json
import math
import sys
import tracemalloc
from collections.abc import Callable
from typing import Any

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zmqio.exceptions import PacketError, PublishRequestError
from zmqio.protocol.json_text import decode_json, encode_json
from zmqio.protocol.msgpack_parser import MsgpackParser
from zmqio.protocol.packet import Packet, PacketType
from zmqio.protocol.parser import JsonParser
from zmqio.protocol.publish import decode_request
from zmqio.protocol.value_limits import (
    MAX_DEPTH,
    MAX_INT_DIGITS,
    check_value,
    decoded_bytes,
    has_long_number,
    may_be_deep,
    takes_more_than,
)

LARGEST = int(sys.float_info.max)
EXTENSION_OF_BIG_INT = 1


def nested(depth: int, *, make: Callable[[Any], Any] = lambda inner: [inner]) -> Any:
    """A value whose lists (or dicts) are nested `depth` deep."""
    value = make(None)
    for _ in range(depth - 1):
        value = make(value)
    return value


def in_dict(inner: Any) -> Any:
    return {"[": inner}


NOT_TAKEN = ["1e999", "-1e999", "1e309", "NaN", "Infinity", "-Infinity", "9" * 310, "1" + "0" * 309, "9" * 400_000]
TAKEN = ["1e308", "-1.5e-999", "9" * 308, str(LARGEST), '"1e999"', '"' + "9" * 500 + '"', '"NaN"']


@pytest.mark.parametrize("text", NOT_TAKEN, ids=range(len(NOT_TAKEN)))
def test_number_that_is_not_finite_is_not_taken_in_json(text: str) -> None:
    with pytest.raises(PacketError):
        decode_json(f'["x",{{"a":{text}}}]')
    for prefix in ("2", "30"):
        with pytest.raises(PacketError):
            JsonParser().decoder().add(f'{prefix}["x",{text}]')
    with pytest.raises(PublishRequestError):
        decode_request(f'{{"event":"x","args":[{text}]}}'.encode())


@pytest.mark.parametrize("text", TAKEN, ids=range(len(TAKEN)))
def test_number_that_is_taken_in_json_can_be_sent_with_both_parsers(text: str) -> None:
    value = decode_json(f'["x",{text}]')
    assert decode_json(encode_json(value)[0]) == value
    assert MsgpackParser().encode(Packet(PacketType.EVENT, data=value))


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 10**400, -(10**400)], ids=range(5))
def test_number_that_is_not_finite_is_not_sent(value: float) -> None:
    for parser in (JsonParser(), MsgpackParser()):
        for event in (["x", value], ["x", {"a": [value]}], ["x", b"binary", value]):
            with pytest.raises(PacketError):
                parser.encode(Packet(PacketType.EVENT, data=event))


@pytest.mark.parametrize(
    "packed", [msgpack.packb(math.nan), msgpack.packb(-math.inf), b"\xca\x7f\x80\0\0", b"\xca\xff\xc0\0\0"]
)
def test_number_that_is_not_finite_is_not_taken_in_msgpack(packed: bytes) -> None:
    packet = b"\x83" + msgpack.packb("type") + b"\x02" + msgpack.packb("nsp") + msgpack.packb("/")
    with pytest.raises(PacketError):
        MsgpackParser().decoder().add(packet + msgpack.packb("data") + b"\x92\xa1x" + packed)
    with pytest.raises(PublishRequestError):
        decode_request(b"\x82" + msgpack.packb("event") + b"\xa1x" + msgpack.packb("args") + b"\x91" + packed)


def test_integer_beyond_javascript_is_not_taken_in_a_publish_request() -> None:
    big = msgpack.ExtType(EXTENSION_OF_BIG_INT, (10**400).to_bytes(200, "big", signed=True))
    with pytest.raises(PublishRequestError):
        decode_request(msgpack.packb({"event": "x", "args": [big]}))
    assert decode_request(msgpack.packb({"event": "x", "args": [2**63]})).args == (2**63,)


def test_key_that_is_no_text_is_not_taken() -> None:
    with pytest.raises(PacketError, match="key of type 'bytes'"):
        MsgpackParser().decoder().add(msgpack.packb({"type": 2, "nsp": "/", "data": ["x", {b"key": 1}]}))


@pytest.mark.parametrize("make", [lambda inner: [inner], in_dict], ids=["lists", "dicts"])
def test_depth_has_one_limit_in_and_out(make: Callable[[Any], Any]) -> None:
    deepest = ["x", nested(MAX_DEPTH - 1, make=make)]
    too_deep = ["x", nested(MAX_DEPTH, make=make)]
    for parser in (JsonParser(), MsgpackParser()):
        (frame,) = parser.encode(Packet(PacketType.EVENT, data=deepest))
        packet = parser.decoder().add(frame)
        assert packet is not None
        assert packet.data == deepest
        with pytest.raises(PacketError, match="nested more than 128"):
            parser.encode(Packet(PacketType.EVENT, data=too_deep))
    with pytest.raises(PacketError, match="nested more than 128"):
        JsonParser().decoder().add("2" + json.dumps(too_deep))
    with pytest.raises(PacketError, match="nested more than 128"):
        MsgpackParser().decoder().add(msgpack.packb({"type": 2, "nsp": "/", "data": too_deep}))
    for body in (
        json.dumps({"event": "x", "args": too_deep}).encode(),
        msgpack.packb({"event": "x", "args": too_deep}),
    ):
        with pytest.raises(PublishRequestError):
            decode_request(body)


def test_depth_does_not_depend_on_the_recursion_limit() -> None:
    text = '["]]]]",' + "[" * 100_000 + "]" * 100_000 + "]"
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(1_000_000)  # some applications do; the decoder would crash the process
    try:
        with pytest.raises(PacketError, match="nested more than 128"):
            decode_json(text)
    finally:
        sys.setrecursionlimit(limit)


def test_digits_do_not_depend_on_the_interpreter() -> None:
    limit = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    try:
        with pytest.raises(PacketError, match="too large"):
            decode_json(f"[{'9' * 100_000}]")
    finally:
        sys.set_int_max_str_digits(limit)
    assert len(str(LARGEST)) == MAX_INT_DIGITS


def test_many_flat_values_are_no_deep_ones() -> None:
    value = [[[], {}]] * 1_000
    assert decode_json(json.dumps(value)) == value
    check_value(value)


@given(
    st.recursive(
        st.none() | st.floats() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_json_accepts_exactly_the_values_that_it_sends(value: Any) -> None:
    text = json.dumps(["x", value])
    try:
        taken = decode_json(text)
    except PacketError:
        with pytest.raises(PacketError):
            encode_json(["x", value])
    else:
        encode_json(taken)


def memory_of(decode: Callable[[], Any]) -> int:
    """Bytes that the value takes."""
    gc.collect()
    tracemalloc.start()
    value = decode()
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert value is not None
    return size


PIECES = [
    "[]",
    "{}",
    "[0]",
    '{"":1}',
    '[[""]]',
    "1000",
    "1.5",
    '"ab"',
    '"é"',
    '{"abc":[1000]}',
    "null",
    '"' + "x" * 999 + '"',
]


@pytest.mark.parametrize("piece", PIECES)
def test_estimate_of_json_is_never_too_small_and_at_most_eight_times_too_large(piece: str) -> None:
    text = "[" + ",".join([piece] * (100_000 // len(piece))) + "]"
    real = memory_of(lambda: json.loads(text))
    assert real <= decoded_bytes(text) * 1.05
    assert decoded_bytes(text) < 10 * max(real, len(text))


@pytest.mark.parametrize(
    "value", [[], {}, [0], {"": 1}, [[""]], 1000, 1.5, "ab", {"abc": [1000]}, None, "x" * 999], ids=repr
)
def test_estimate_of_msgpack_is_never_too_small(value: Any) -> None:
    packed = msgpack.packb([value] * 20_000)
    assert memory_of(lambda: msgpack.unpackb(packed)) <= decoded_bytes(packed) * 1.05


@pytest.mark.parametrize(
    "value",
    [
        "a" * 1_000,
        "é" * 1_000,
        b"b" * 1_000,
        [None] * 100,
        [{f"{number}" * 100: number} for number in range(90)],
        [["deep", {"a": [b"x" * 500]}]],
        list(range(90)),
    ],
)
def test_memory_of_a_value_is_counted_up_to_a_limit(value: Any) -> None:
    tracemalloc.start()
    copied = msgpack.unpackb(msgpack.packb(value))
    real = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert copied == value
    assert takes_more_than(value, real // 3)
    assert not takes_more_than(value, 20 * real)


def test_counting_stops_at_the_limit() -> None:
    endless: list[Any] = []
    endless += [endless, endless]
    assert takes_more_than(endless, 10_000)


@pytest.mark.parametrize("padding", [0, 5_000])
@pytest.mark.parametrize("brackets", ["", "[", "{", "[{" * 64, "[" * 129, "{" * 129, "[" * 128 + "{", "[" * 5_000])
def test_brackets_are_counted_in_short_and_long_text(brackets: str, padding: int) -> None:
    for text in (brackets + "x" * padding, "x" * padding + brackets, "\u2603" * padding + brackets):
        assert may_be_deep(text) is (len(brackets) > MAX_DEPTH)


@given(
    st.text("x,1\u20ac", max_size=70),
    st.integers(MAX_INT_DIGITS - 40, MAX_INT_DIGITS + 40),
    st.text("x,1\u20ac", max_size=70),
)
def test_a_long_number_is_found_wherever_it_begins(before: str, digits: int, after: str) -> None:
    text = f"{before}x{'7' * digits}x{after}"
    assert has_long_number(text) == (digits >= MAX_INT_DIGITS)
