import pytest
from zmqio_broker.departures import departure_notice


def test_cancellation_of_an_inbox_makes_a_notice() -> None:
    assert departure_notice(b"\x00chat/u/nod1ABCDEFGHIJK\0") == b"\xffgone-chat/u/nod1ABCDEFGHIJK\0"


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\x00",
        b"\x01chat/u/nod1ABCDEFGHIJK\0",
        b"\x00chat/u/nod1ABCDEFGHIJK",
        b"\x00chat/u/\0",
        b"\x00chat/u/one\0two\0",
        b"\x00/u/nod1\0",
        b"\x00chat/r//\0u/nod1\0",
        b"\x00chat/a/\0",
        b"\x00\xffgone-chat/u/",
        b"\x00\xffgone-chat/u/nod1\0",
        b"\x00chat/u/" + bytes([65]) * 257 + b"\0",
        b"chat/u/nod1\0",
    ],
)
def test_other_frames_make_none(frame: bytes) -> None:
    assert departure_notice(frame) is None
