"""Facts extracted from request heads; no input is an error."""

from urllib.parse import parse_qsl, quote

import pytest
from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser, parse_url
from hypothesis import example, given
from hypothesis import strategies as st

from zmqio.launcher.routing.request_head import RequestHead, head_end, parse_head

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
    assert head_end(bytearray(b"GET / HTTP/1.1\r\n\r\n" + bytes(1 << 16)), 17) is None


def test_all_forwarded_addresses_are_found_in_order() -> None:
    head = (
        b"GET / HTTP/1.1\r\nx-FORWARDED-for: 1.2.3.4, 5.6.7.8\r\nHost: x\r\nX-Forwarded-For:9.9.9.9\r\n"
        b"Not-X-Forwarded-For: 8.8.8.8\r\n\r\n"
    )
    assert [value.strip() for value in parse_head(head).forwarded_for] == ["1.2.3.4, 5.6.7.8", "9.9.9.9"]


def worker_sid(head: bytes) -> str | None:
    """The session id that uvicorn and the engine read; None also if they reject the request."""

    class Callbacks:
        url: bytes | None = None

        def on_url(self, url: bytes) -> None:
            self.url = (self.url or b"") + url

        def on_headers_complete(self) -> None:
            self.query = parse_url(self.url).query or b""

    callbacks = Callbacks()
    try:
        HttpRequestParser(callbacks).feed_data(head)
    except HttpParserUpgrade:
        pass
    except HttpParserError:
        return None
    query = getattr(callbacks, "query", b"").decode("latin-1")
    return dict(parse_qsl(query, keep_blank_values=True)).get("sid") or None


TOKENS = [
    b" ",
    b"  ",
    b"\t",
    b"/",
    b"?",
    b"#",
    b"&",
    b"=",
    b"sid=1",
    b"%73id=2",
    b"sid=3",
    b"http://h",
    b"%",
    b"\xe9",
]


@given(
    st.sampled_from([b"", b"\r\n", b" "]),
    st.sampled_from([b"GET", b"POST", b"get", b"CONNECT"]),
    st.lists(st.sampled_from(TOKENS)),
    st.sampled_from([b" HTTP/1.1", b"  HTTP/1.1", b"", b" HTTP/1.0"]),
)
@example(b"", b"GET", [b"  ", b"/", b"?", b"sid=1"], b" HTTP/1.1")
def test_sid_is_what_the_worker_reads(before: bytes, method: bytes, target: list[bytes], version: bytes) -> None:
    head = before + method + b" " + b"".join(target) + version + b"\r\nHost: x\r\n\r\n"
    read = worker_sid(head)
    assert read is None or parse_head(head).sid == read


def test_request_with_very_many_query_fields_names_no_session() -> None:
    assert sid_of(f"/?sid={SID}" + "&" * 99) == SID
    assert sid_of(f"/?sid={SID}" + "&" * 30_000) is None


@given(st.binary(max_size=300))
def test_any_bytes_can_be_parsed(data: bytes) -> None:
    assert isinstance(parse_head(data), RequestHead)


@given(
    st.lists(st.sampled_from([b"GET", b" ", b"/?sid=", b"%", b"%zz", b"&", b"=", b"\r\n", b"\xff", b"sid", b"?"]))
)
def test_any_mix_of_meaningful_tokens_can_be_parsed(parts: list[bytes]) -> None:
    head = parse_head(b"".join(parts))
    assert head.sid is None or isinstance(head.sid, str)
