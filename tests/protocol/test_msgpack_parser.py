import contextlib

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.protocol import strategies, vectors
from zmqio.exceptions import PacketError
from zmqio.protocol.msgpack_parser import MsgpackParser
from zmqio.protocol.packet import Packet, PacketType

PARSER = MsgpackParser()
EVENT = PacketType.EVENT


def decode(frame):
    return PARSER.decoder().add(frame)


@pytest.mark.parametrize("vector", vectors.load("packets"), ids=lambda vector: vector["frames"][0])
def test_golden_packets_in_both_directions(vector):
    packet = Packet(PacketType(vector["type"]), vector["namespace"], vector["data"], vector["id"])
    assert PARSER.encode(packet) == (vector["msgpack"],)
    assert decode(vector["msgpack"]) == packet


@pytest.mark.parametrize("ack_id", [0, 127, 300, 2**53 - 1])
def test_filled_frames_equal_those_encoded_with_the_id(ack_id):
    frames = PARSER.encode_ackable(Packet(EVENT, "/", ["a", b"x"]))
    assert frames.fill(ack_id) == PARSER.encode(Packet(EVENT, "/", ["a", b"x"], ack_id))


def test_only_an_event_is_ackable():
    with pytest.raises(PacketError, match="not ACK"):
        PARSER.encode_ackable(Packet(PacketType.ACK, "/", []))


def test_fields_that_the_javascript_client_adds_are_ignored():
    frame = msgpack.packb({"type": 2, "data": ["a"], "options": {"compress": True}, "nsp": "/"})
    assert decode(frame) == Packet(EVENT, "/", ["a"])


def test_undefined_is_decoded_as_none():
    undefined = msgpack.ExtType(0, b"\0")
    assert decode(msgpack.packb({"type": 0, "nsp": "/", "data": undefined, "id": undefined})) == Packet(
        PacketType.CONNECT
    )


def test_typed_array_of_node_js_is_decoded_as_bytes():
    frame = msgpack.packb({"type": 2, "nsp": "/", "data": ["a", msgpack.ExtType(0, b"\x01\x02")]})
    assert decode(frame).data == ["a", b"\x01\x02"]


@pytest.mark.parametrize(
    "fields",
    [
        [],
        5,
        {},
        {"type": 5, "nsp": "/", "data": ["a"]},
        {"type": True, "nsp": "/", "data": ["a"]},
        {"type": 2, "data": ["a"]},
        {"type": 2, "nsp": "chat", "data": ["a"]},
        {"type": 2, "nsp": "/", "data": []},
        {"type": 2, "nsp": "/", "data": ["connect"]},
        {"type": 3, "nsp": "/", "data": {}},
        {"type": 1, "nsp": "/", "data": []},
        {"type": 2, "nsp": "/", "data": ["a"], "id": -1},
        {"type": 2, "nsp": "/", "data": ["a"], "id": "1"},
        {"type": 2, "nsp": "/", "data": ["a"], "id": 2**53},
        {"type": 2, "nsp": "/", "data": ["a", msgpack.ExtType(9, b"")]},
        {"type": 2, "nsp": "/", "data": ["a", {1: 2}]},
    ],
)
def test_malformed_packet_is_refused(fields):
    with pytest.raises(PacketError):
        decode(msgpack.packb(fields))


def test_text_is_refused():
    with pytest.raises(PacketError, match="every packet is binary"):
        decode("2")


def test_trailing_bytes_and_depth_bombs_are_refused():
    for frame in (PARSER.encode(Packet(EVENT, "/", ["a"]))[0] + b"x", b"\x91" * 100_000, b""):
        with pytest.raises(PacketError, match="not msgpack"):
            decode(frame)


def test_integer_beyond_64_bits_is_encoded_as_a_float():
    assert decode(PARSER.encode(Packet(EVENT, "/", ["a", 2**70]))[0]).data == ["a", float(2**70)]
    with pytest.raises(PacketError, match="too large"):
        PARSER.encode(Packet(EVENT, "/", ["a", 10**400]))


def test_lone_surrogate_becomes_a_question_mark():
    assert decode(PARSER.encode(Packet(EVENT, "/", ["a", "x\ud800"]))[0]).data == ["a", "x?"]


def test_error_names_the_type_of_an_unsupported_value():
    with pytest.raises(PacketError, match="type 'set' cannot be sent"):
        PARSER.encode(Packet(EVENT, "/", ["a", {1}]))
    with pytest.raises(PacketError, match="namespace"):
        PARSER.encode(Packet(EVENT, "chat", ["a"]))


def test_values_nested_too_deeply_are_refused():
    value: list = []
    for _ in range(600):
        value = [value]
    with pytest.raises(PacketError, match="nested more than 128"):
        PARSER.encode(Packet(EVENT, "/", ["a", value]))


small_values = strategies.nested(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text() | st.binary(max_size=9),
    strategies.plain_keys,
)


@given(
    strategies.namespaces,
    strategies.event_names,
    st.lists(small_values, max_size=3),
    st.none() | st.integers(0, 2**53 - 1),
)
def test_events_round_trip(namespace, name, args, ack_id):
    packet = Packet(EVENT, namespace, [name, *args], ack_id)
    assert decode(PARSER.encode(packet)[0]) == packet


@given(st.binary() | small_values.map(msgpack.packb))
def test_arbitrary_input_raises_only_packet_errors(frame):
    with contextlib.suppress(PacketError):
        decode(frame)


@pytest.mark.parametrize("field", ["type", "nsp", "id"])
def test_deep_value_in_place_of_a_field_is_malformed(field: str) -> None:
    valid = {"type": b"\x02", "nsp": b"\xa1/", "data": b"\x91\xa1x", "id": b"\x01"}
    fields = valid | {field: b"\x91" * 1_000 + b"\x01"}
    body = b"\x84" + b"".join(msgpack.packb(name) + value for name, value in fields.items())
    with pytest.raises(PacketError):
        decode(body)


@given(strategies.namespaces, strategies.event_names, st.lists(small_values, max_size=3))
def test_an_appended_argument_is_the_last(namespace, name, args):
    frames = PARSER.append_argument(PARSER.encode(Packet(EVENT, namespace, [name, *args])), "tagA1.AA")
    assert frames == PARSER.encode(Packet(EVENT, namespace, [name, *args, "tagA1.AA"]))


@pytest.mark.parametrize("count", [14, 15, 16, 65_534, 65_535])
def test_an_argument_is_appended_to_lists_of_every_size(count):
    data = ["event", *[0] * (count - 1)]
    frames = PARSER.append_argument(PARSER.encode(Packet(EVENT, "/\u00a4data", data)), "x")
    assert frames == PARSER.encode(Packet(EVENT, "/\u00a4data", [*data, "x"]))


@given(st.binary(max_size=40))
def test_frames_of_another_parser_stay_as_they_are(frame):
    assert PARSER.append_argument((frame,), "x") == (frame,)
    assert PARSER.append_argument(("2[]",), "x") == ("2[]",)
    valid = PARSER.encode(Packet(EVENT, "/", ["a"]))[0]
    for end in range(len(valid)):
        PARSER.append_argument((valid[:end] + frame,), "x")
