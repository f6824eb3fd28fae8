import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.protocol import strategies, vectors
from zmqio.exceptions import PacketError
from zmqio.protocol.converting_parser import ConvertingParser
from zmqio.protocol.msgpack_parser import MsgpackParser
from zmqio.protocol.packet import Packet, PacketType
from zmqio.protocol.parser import JsonParser, format_of

PARSER = JsonParser()
EVENT = PacketType.EVENT


def decode(*frames):
    decoder = PARSER.decoder()
    packets = [decoder.add(frame) for frame in frames]
    assert packets[:-1] == [None] * (len(frames) - 1)
    assert not decoder.pending
    return packets[-1]


def packet_of(vector):
    return Packet(PacketType(vector["type"]), vector["namespace"], vector["data"], vector["id"])


@pytest.mark.parametrize("vector", vectors.load("packets"), ids=lambda vector: vector["frames"][0])
def test_golden_packets_in_both_directions(vector):
    assert PARSER.encode(packet_of(vector)) == tuple(vector["frames"])
    assert decode(*vector["frames"]) == packet_of(vector)


@pytest.mark.parametrize("vector", vectors.load("bad_packets"), ids=lambda vector: vector["text"])
def test_malformed_text_is_refused(vector):
    with pytest.raises(PacketError):
        PARSER.decoder().add(vector["text"])


def test_ack_id_is_filled_into_a_broadcast():
    frames = PARSER.encode_ackable(Packet(EVENT, "/chat", ["foo", b"\x01"]))
    assert frames.fill(7) == ('51-/chat,7["foo",{"_placeholder":true,"num":0}]', b"\x01")


def test_only_an_event_is_ackable():
    with pytest.raises(PacketError, match="not ACK"):
        PARSER.encode_ackable(Packet(PacketType.ACK, "/", []))


def test_binary_type_without_binary_values_is_encoded_as_the_plain_type():
    assert PARSER.encode(Packet(PacketType.BINARY_EVENT, "/", ["a"])) == ('2["a"]',)
    assert PARSER.encode(Packet(PacketType.BINARY_ACK, "/", [], 1)) == ("31[]",)


def test_binary_in_connect_is_refused():
    with pytest.raises(PacketError, match="a CONNECT packet cannot carry binary"):
        PARSER.encode(Packet(PacketType.CONNECT, "/", {"a": b""}))


@pytest.mark.parametrize("namespace", ["chat", "", "/a,b", "/\ud800"])
def test_invalid_namespace_is_refused(namespace):
    with pytest.raises(PacketError, match="namespace"):
        PARSER.encode(Packet(EVENT, namespace, ["a"]))


def test_attachments_over_the_limit_are_refused_in_both_directions():
    event = Packet(EVENT, "/", ["a", *[b"x"] * 11])
    with pytest.raises(PacketError, match="11 binary values in one packet are over the limit of 10"):
        PARSER.encode(event)
    with pytest.raises(PacketError, match="announces 11 attachments; the limit is 10"):
        PARSER.decoder().add('511-["a"]')
    roomy = JsonParser(max_attachments=11)
    decoder = roomy.decoder()
    assert [decoder.add(frame) for frame in roomy.encode(event)][-1] == event


@pytest.mark.parametrize("digits", ["9" * 19, "9" * 10_000])
def test_number_that_javascript_cannot_hold_is_refused(digits):
    with pytest.raises(PacketError, match="ack id"):
        PARSER.decoder().add(f'2{digits}["a"]')
    with pytest.raises(PacketError, match="attachments"):
        PARSER.decoder().add(f'5{digits}-["a"]')


def test_decoder_is_pending_until_the_last_attachment():
    decoder = PARSER.decoder()
    assert decoder.add('52-["a",{"_placeholder":true,"num":1},{"_placeholder":true,"num":0}]') is None
    assert decoder.pending
    assert decoder.add(b"0") is None
    assert decoder.pending
    assert decoder.add(b"1") == Packet(EVENT, "/", ["a", b"1", b"0"])
    assert not decoder.pending


def test_text_in_place_of_an_attachment_is_refused():
    decoder = PARSER.decoder()
    decoder.add('51-["a"]')
    with pytest.raises(PacketError, match="waits for 1 binary"):
        decoder.add('2["a"]')


def test_unexpected_attachment_is_refused():
    with pytest.raises(PacketError, match="no packet waits"):
        PARSER.decoder().add(b"x")


def test_placeholder_out_of_range_is_refused():
    decoder = PARSER.decoder()
    decoder.add('51-["a",{"_placeholder":true,"num":1}]')
    with pytest.raises(PacketError, match="matches none"):
        decoder.add(b"x")


def test_depth_bomb_is_refused():
    with pytest.raises(PacketError):
        PARSER.decoder().add("2" + "[" * 200_000)


def test_decoder_decodes_one_packet_after_another():
    decoder = PARSER.decoder()
    frames = ['2["a"]', '51-["b",{"_placeholder":true,"num":0}]', b"x", '2["c"]']
    names = [packet.data[0] for frame in frames if (packet := decoder.add(frame))]
    assert names == ["a", "b", "c"]


packets = st.builds(
    lambda namespace, name, args, ack_id: Packet(EVENT, namespace, [name, *args], ack_id),
    strategies.namespaces,
    strategies.event_names,
    st.lists(strategies.values, max_size=3),
    st.none() | st.integers(min_value=0, max_value=2**53 - 1),
)
ROOMY = JsonParser(max_attachments=100)


@given(packets)
def test_events_round_trip(packet):
    decoder = ROOMY.decoder()
    assert [decoder.add(frame) for frame in ROOMY.encode(packet)][-1] == packet


@given(packets, st.integers(min_value=0, max_value=2**53 - 1))
def test_filled_frames_equal_those_encoded_with_the_id(packet, ack_id):
    with_id = Packet(packet.type, packet.namespace, packet.data, ack_id)
    assert ROOMY.encode_ackable(packet).fill(ack_id) == ROOMY.encode(with_id)


@given(st.lists(st.text() | st.text(alphabet='0123456789-/,[]{}"a') | st.binary(max_size=5), max_size=4))
def test_arbitrary_input_raises_only_packet_errors(frames):
    decoder = PARSER.decoder()
    with contextlib.suppress(PacketError):
        for frame in frames:
            decoder.add(frame)


@given(strategies.namespaces, strategies.event_names, st.lists(strategies.values, max_size=3))
def test_an_appended_argument_is_the_last(namespace, name, args):
    frames = ROOMY.append_argument(ROOMY.encode(Packet(EVENT, namespace, [name, *args])), "tagA1.AA")
    decoder = ROOMY.decoder()
    assert [decoder.add(frame) for frame in frames][-1] == Packet(EVENT, namespace, [name, *args, "tagA1.AA"])


@pytest.mark.parametrize("frames", [(b"\x83",), ("2",), ("",)])
def test_frames_of_another_parser_stay_as_they_are(frames):
    assert PARSER.append_argument(frames, "x") == frames


def test_format_is_that_of_the_packets_on_the_wire() -> None:
    class Own:
        pass

    assert format_of(JsonParser()) == format_of(ConvertingParser(JsonParser(), str)) == "json"
    assert format_of(MsgpackParser()) == format_of(ConvertingParser(MsgpackParser(), str)) == "msgpack"
    assert format_of(Own()) == "Own"  # type: ignore[arg-type]
