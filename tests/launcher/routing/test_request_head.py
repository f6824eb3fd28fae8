"""Facts extracted from request heads; no input is an error."""

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zmqio.launcher.routing.request_head import MAX_HEAD_BYTES, RequestHead, head_end, parse_head

SID = "abcdEFGH0123456789_-"


def sid_of(target: str) -> str | None:
    return parse_head(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode()).sid


@pytest.mark.parametrize(
    "target",
    [
        f"/socket.io/?sid={SID}",
        f"/socket.io/?EIO=4&transport=polling&sid={SID}",
        f"/socket.io/?EIO=4&sid={SID}&t=abc",
        f"/anywhere?sid={SID}#fragment",
        f"http://host:80/socket.io/?EIO=4&sid={SID}",
        f"/socket.io/?sid={''.join(f'%{ord(c):02x}' for c in SID)}",
        f"/socket.io/?%73id={SID}",
        f"/socket.io/?sid=first&sid={SID}",  # the engine uses the last one, too
        f"/socket.io/?x=1?&sid={SID}",
    ],
)
def test_sid_is_found_anywhere_in_the_query(target: str) -> None:
    assert sid_of(target) == SID


@pytest.mark.parametrize(
    "target",
    ["/", "/socket.io/?EIO=4", "/?sid=", f"/?xsid={SID}", f"/sid={SID}", f"/#?sid={SID}", f"/?x=sid%3D{SID}", "*"],
)
def test_request_without_a_sid_has_none(target: str) -> None:
    assert sid_of(target) is None


@given(st.text(st.characters(codec="ascii"), min_size=1))
def test_sid_is_what_the_engine_would_read(value: str) -> None:
    assert sid_of(f"/socket.io/?EIO=4&sid={quote(value, safe='')}&t=1") == value


@pytest.mark.parametrize("line_end", [b"\r\n", b"\n"])
@pytest.mark.parametrize("before", [b"", b"\r\n", b"\r\n\r\n", b"\n"])
def test_head_ends_at_the_first_empty_line_after_the_request_line(line_end: bytes, before: bytes) -> None:
    head = before + b"GET / HTTP/1.1" + line_end + b"Host: x" + line_end + line_end
    data = head + b"the body\r\n\r\n"
    assert head_end(data, len(data)) == len(head)
    for size in range(len(head)):
        assert head_end(data, size) is None


@given(st.binary(max_size=200), st.lists(st.integers(1, 40)))
def test_end_of_a_head_does_not_depend_on_its_pieces(data: bytes, pieces: list[int]) -> None:
    whole = head_end(data, len(data))
    size = seen = 0
    for piece in (*pieces, len(data)):
        size = min(size + piece, len(data))
        end = head_end(data, size, seen)
        if end is not None:
            break
        seen = size
    assert end == whole


def test_bytes_beyond_the_given_size_are_ignored() -> None:
    assert head_end(bytearray(b"GET / HTTP/1.1\r\n\r\n" + bytes(MAX_HEAD_BYTES)), 17) is None


def test_all_forwarded_addresses_are_found_in_order() -> None:
    head = (
        b"GET / HTTP/1.1\r\nx-FORWARDED-for: 1.2.3.4, 5.6.7.8\r\nHost: x\r\nX-Forwarded-For:9.9.9.9\r\n"
        b"Not-X-Forwarded-For: 8.8.8.8\r\n\r\n"
    )
    assert [value.strip() for value in parse_head(head).forwarded_for] == ["1.2.3.4, 5.6.7.8", "9.9.9.9"]


@given(st.binary(max_size=300))
def test_any_bytes_can_be_parsed(data: bytes) -> None:
    assert isinstance(parse_head(data), RequestHead)


@given(
    st.lists(st.sampled_from([b"GET", b" ", b"/?sid=", b"%", b"%zz", b"&", b"=", b"\r\n", b"\xff", b"sid", b"?"]))
)
def test_any_mix_of_meaningful_tokens_can_be_parsed(parts: list[bytes]) -> None:
    head = parse_head(b"".join(parts))
    assert head.sid is None or isinstance(head.sid, str)
