"""Slices of input, fragments of messages, and pongs."""

from hypothesis import given
from hypothesis import strategies as st

from zmqio.hosting.websocket_input import SLICE_BYTES, FragmentedMessage, SlicedInput, split_pongs

PONG = b"\x8a\x01"
CLOSE = b"\x88\x00"


@given(st.lists(st.binary(min_size=1, max_size=3 * SLICE_BYTES), min_size=1, max_size=4))
def test_slices_are_the_input(pieces: list[bytes]) -> None:
    held = SlicedInput(pieces[0])
    taken = []
    for piece in pieces[1:]:
        taken.append(bytes(held.take()))
        held.add(piece)
    while held:
        taken.append(bytes(held.take()))
    assert b"".join(taken) == b"".join(pieces)
    assert max(map(len, taken)) <= SLICE_BYTES


def test_message_is_the_sum_of_its_fragments() -> None:
    message = FragmentedMessage(b"a", is_text=True)
    for part in (b"", bytearray(b"bc"), b""):
        message.add(part)
    assert (message.data, message.fragments, message.is_text) == (b"abc", 4, True)


def test_last_pong_answers_all_pings_and_other_frames_are_kept() -> None:
    assert split_pongs([]) == (None, b"")
    assert split_pongs([PONG + b"a", PONG + b"b"]) == (PONG + b"b", b"")
    assert split_pongs([PONG + b"a", PONG + b"b", CLOSE, b""]) == (PONG + b"b", CLOSE)
