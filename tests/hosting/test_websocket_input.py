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
    split_pongs,
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
