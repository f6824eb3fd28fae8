"""Prepared packets, WebSocket frames and polling payloads."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame
from websockets.streams import StreamReader

from zmqio.engine.packets import NOOP, PING, Prepared, decode_payload, encode_frame, is_larger, utf8_size
from zmqio.exceptions import PacketError

TEXT = st.text(st.characters(exclude_characters="\x1e", exclude_categories=["Cs"]))


def _parse(raw: bytes, *, deflate: bool = False) -> list[str | bytes]:
    """Read server frames with a WebSocket implementation that is not ours."""
    extensions = [PerMessageDeflate(True, True, 15, 15)] if deflate else []
    reader = StreamReader()
    reader.feed_data(raw)
    reader.feed_eof()
    messages: list[str | bytes] = []
    while not (end := _run(reader.at_eof())):
        assert end is False
        frame = _run(Frame.parse(reader.read_exact, mask=False, extensions=extensions))
        assert frame.fin
        messages.append(bytes(frame.data).decode() if frame.opcode == 1 else bytes(frame.data))
    return messages


def _run(steps):
    try:
        next(steps)
    except StopIteration as stop:
        return stop.value
    raise AssertionError("the frame is not complete")


def test_text_message_gets_its_type_digit_and_binary_none() -> None:
    prepared = Prepared.of_messages(["hello", b"\x01\x02"])
    assert prepared.packets == ("4hello", b"\x01\x02")
    assert prepared.packet_count == 2


def test_polling_form_joins_records_and_writes_binary_as_base64() -> None:
    assert Prepared.of_messages(['2["a"]', b"\x01\x02\x03\x04"]).polling == b'42["a"]\x1ebAQIDBA=='


@pytest.mark.parametrize("order", [("polling", "ws_frames"), ("ws_frames", "polling")])
def test_no_form_leaks_into_the_other(order: tuple[str, str]) -> None:
    prepared = Prepared.of_messages(["a", b"\x00"])
    forms = {name: getattr(prepared, name) for name in order}
    assert forms == {"polling": b"4a\x1ebAA==", "ws_frames": b"\x81\x024a\x82\x01\x00"}
    assert prepared.packets == ("4a", b"\x00")


def test_each_form_is_encoded_once() -> None:
    prepared = Prepared.of_messages(["hello"])
    assert prepared.ws_frames is prepared.ws_frames
    assert prepared.polling is prepared.polling


def test_control_packets_are_single_digits() -> None:
    assert (PING.polling, PING.ws_frames, NOOP.polling) == (b"2", b"\x81\x012", b"6")


def test_size_counts_utf8_bytes() -> None:
    assert Prepared.of_messages(["é€", b"\x00\x01"]).size_bytes == 1 + 2 + 3 + 2


def test_unknown_attribute_is_an_error() -> None:
    with pytest.raises(AttributeError):
        _ = Prepared(["2"]).nonsense  # type: ignore[attr-defined]


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 70_000])
def test_frame_lengths_at_the_borders_of_rfc_6455(size: int) -> None:
    assert _parse(encode_frame(b"x" * size) + encode_frame("y" * size)) == [b"x" * size, "y" * size]


@given(st.lists(st.one_of(TEXT, st.binary(max_size=300)), min_size=1, max_size=5))
def test_frames_are_read_back_by_another_implementation(messages: list[str | bytes]) -> None:
    expected = [message if isinstance(message, bytes) else "4" + message for message in messages]
    assert _parse(Prepared.of_messages(messages).ws_frames) == expected


@given(st.lists(st.one_of(TEXT, st.binary(max_size=300)), min_size=1, max_size=5))
def test_payload_round_trip(messages: list[str | bytes]) -> None:
    prepared = Prepared.of_messages(messages)
    assert tuple(decode_payload(prepared.polling.decode(), 10)) == prepared.packets


@given(TEXT)
def test_utf8_size_is_the_length_of_the_encoded_text(text: str) -> None:
    assert utf8_size(text) == len(text.encode())


def test_payload_is_split_at_the_record_separator_and_not_json_parsed() -> None:
    assert list(decode_payload("4true\x1e4123\x1e3", 16)) == ["4true", "4123", "3"]


@pytest.mark.parametrize("body", ["", "abc", "7", "4a\x1e", "b?", "bA", "{"])
def test_malformed_payload_is_refused(body: str) -> None:
    with pytest.raises(PacketError):
        list(decode_payload(body, 16))


def test_packets_before_a_malformed_one_come_out_first() -> None:
    packets = decode_payload("4a\x1e4b\x1eX", 16)
    assert [next(packets), next(packets)] == ["4a", "4b"]
    with pytest.raises(PacketError):
        next(packets)


def test_as_many_packets_as_allowed_are_taken_and_one_more_is_refused() -> None:
    assert len(list(decode_payload("\x1e".join(["4a"] * 16), 16))) == 16
    with pytest.raises(PacketError, match="max_payload_packets"):
        decode_payload("\x1e".join(["4a"] * 17), 16)


@pytest.mark.parametrize(
    "text", ["+/8BAgM=", "+/8BAgM", "-_8BAgM=", "-_8BAgM", "+/8B\nAgM=\n", "+/8B\r\nAgM=\r\n"]
)
def test_base64_is_decoded_as_the_clients_of_other_languages_write_it(text: str) -> None:
    assert list(decode_payload("b" + text, 1)) == [b"\xfb\xff\x01\x02\x03"]


def test_base64_of_binary_packet_is_decoded() -> None:
    data = bytes(range(256))
    assert list(decode_payload("b" + base64.b64encode(data).decode(), 1)) == [data]


def test_size_of_a_message_is_that_of_its_utf8() -> None:
    assert not is_larger("üü", 4)
    assert is_larger("üüx", 4)
    assert not is_larger(b"1234", 4)
    assert is_larger(b"12345", 4)


@given(st.lists(st.one_of(TEXT, st.binary()), min_size=1, max_size=4), st.integers(1, 400))
def test_deflated_frames_are_the_packets_and_never_larger(packets: list[str | bytes], times: int) -> None:
    prepared = Prepared([packet * times for packet in packets])
    assert _parse(prepared.deflated_frames, deflate=True) == list(prepared.packets)
    assert len(prepared.deflated_frames) <= len(prepared.ws_frames)


def test_deflated_frames_are_made_once_and_much_smaller_where_values_repeat() -> None:
    prepared = Prepared.of_messages(['2["news",' + '{"price":1.5,"volume":100},' * 60 + "0]"])
    assert len(prepared.deflated_frames) < len(prepared.ws_frames) // 10
    assert prepared.deflated_frames is prepared.deflated_frames
