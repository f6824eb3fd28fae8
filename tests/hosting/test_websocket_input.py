"""Slices of input, fragments of messages, and pongs."""

from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode
from websockets.protocol import Protocol, State
from websockets.server import ServerProtocol

from zmqio.hosting.websocket_input import (
    SLICE_BYTES,
    FragmentedMessage,
    SlicedInput,
    bytes_to_frame_end,
    is_between_frames,
    split_pongs,
    whole_text,
)

PONG = b"\x8a\x01"
CLOSE = b"\x88\x00"


@given(st.lists(st.binary(min_size=1, max_size=3 * SLICE_BYTES), min_size=1, max_size=4))
def test_slices_are_the_input(pieces: list[bytes]) -> None:
    held = SlicedInput(pieces[0])
    taken = []
    for piece in pieces[1:]:
        taken.append(bytes(held.take(SLICE_BYTES)))
        held.add(piece)
    while held:
        taken.append(bytes(held.take(SLICE_BYTES)))
    assert b"".join(taken) == b"".join(pieces)
    assert max(map(len, taken)) <= SLICE_BYTES


def test_slices_have_the_size_that_is_asked_for() -> None:
    held = SlicedInput(bytes(3 * SLICE_BYTES))
    assert len(held.take(2 * SLICE_BYTES)) == 2 * SLICE_BYTES
    assert len(held.take(2 * SLICE_BYTES)) == SLICE_BYTES


def test_bytes_to_the_end_of_a_frame_are_those_that_the_parser_waits_for() -> None:
    conn = ServerProtocol(state=State.OPEN)
    conn.parser = Protocol.parse(conn)  # behind the handshake
    next(conn.parser)
    frame = Frame(Opcode.TEXT, bytes(1_000)).serialize(mask=True)
    assert bytes_to_frame_end(conn) == 0
    conn.receive_data(frame[:8])
    assert bytes_to_frame_end(conn) == 1_000
    conn.receive_data(frame[8:108])
    assert bytes_to_frame_end(conn) == 900
    conn.receive_data(frame[108:] + frame[:3])
    assert bytes_to_frame_end(conn) == 1  # of the header
    assert bytes_to_frame_end(object()) == 0


def test_parser_is_between_frames_only_when_it_has_read_whole_ones() -> None:
    conn = ServerProtocol(state=State.OPEN)
    conn.parser = Protocol.parse(conn)  # behind the handshake
    next(conn.parser)
    text = Frame(Opcode.TEXT, bytes(1_000)).serialize(mask=True)
    assert is_between_frames(conn)
    for part in (text[:1], text[1:3], text[3:8], text[8:500]):
        conn.receive_data(part)
        assert not is_between_frames(conn)
    conn.receive_data(text[500:])
    assert is_between_frames(conn)
    conn.receive_data(text + b"\x81")
    assert not is_between_frames(conn)
    conn.receive_data(b"\x00")  # not masked: the parser discards everything from now on
    assert conn.parser_exc is not None
    assert not is_between_frames(object())


@given(st.integers(0, 70_000), st.integers(1, 5))
def test_whole_text_is_the_payload_of_one_masked_frame(size: int, cut: int) -> None:
    payload = bytes(range(256)) * (size // 256) + bytes(size % 256)
    frame = Frame(Opcode.TEXT, payload).serialize(mask=True)
    assert whole_text(frame) == (payload if size < 1 << 16 else None)
    assert whole_text(frame[:-cut]) is None
    assert whole_text(frame + frame[:cut]) is None


def test_whole_text_is_nothing_but_a_final_masked_text_frame_with_a_length_as_short_as_possible() -> None:
    text = Frame(Opcode.TEXT, b"abc").serialize(mask=True)
    for frame in (
        Frame(Opcode.TEXT, b"abc").serialize(mask=False),
        Frame(Opcode.TEXT, b"abc", fin=False).serialize(mask=True),
        b"\xc1" + text[1:],  # compressed
        Frame(Opcode.BINARY, b"abc").serialize(mask=True),
        Frame(Opcode.CONT, b"abc").serialize(mask=True),
        Frame(Opcode.PING, b"abc").serialize(mask=True),
        text[:1] + b"\xfe\x00\x03" + text[2:],
        b"",
    ):
        assert whole_text(frame) is None


def test_message_is_the_sum_of_its_fragments() -> None:
    message = FragmentedMessage(b"a", is_text=True)
    for part in (b"", bytearray(b"bc"), b""):
        message.add(part)
    assert (message.data, message.fragments, message.is_text) == (b"abc", 4, True)


def test_last_pong_answers_all_pings_and_other_frames_are_kept() -> None:
    assert split_pongs([]) == (None, b"")
    assert split_pongs([PONG + b"a", PONG + b"b"]) == (PONG + b"b", b"")
    assert split_pongs([PONG + b"a", PONG + b"b", CLOSE, b""]) == (PONG + b"b", CLOSE)


def test_parser_of_another_form_only_makes_slices_smaller():
    assert bytes_to_frame_end(object()) == 0
