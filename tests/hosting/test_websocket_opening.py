"""Opening requests in the usual form are accepted with the value of `websockets`; all others are left to it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.http11 import Request
from websockets.server import ServerProtocol

from zmqio.hosting.websocket_opening import MAX_BYTES, MAX_FIELDS, Header, accept_value, encode_answer

TARGET = b"/socket.io/?EIO=4&transport=websocket"
KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
"""Source: RFC 6455, section 1.3."""
USUAL = {
    b"host": b"example.org",
    b"upgrade": b"websocket",
    b"connection": b"Upgrade",
    b"sec-websocket-key": KEY,
    b"sec-websocket-version": b"13",
    b"sec-websocket-extensions": b"permessage-deflate; client_max_window_bits",
}


def headers(**changes: bytes | None) -> list[Header]:
    """The usual headers with changes; underscores in names stand for hyphens, and None removes a header."""
    changed = {name.replace("_", "-").encode(): value for name, value in changes.items()}
    return [(name, value) for name, value in (USUAL | changed).items() if value is not None]


def test_usual_request_is_accepted_with_the_value_of_the_specification() -> None:
    assert accept_value(TARGET, headers()) == ACCEPT


@pytest.mark.parametrize("connection", [b"upgrade", b"keep-alive, Upgrade"])
def test_values_of_proxies_and_other_browsers_are_usual(connection: bytes) -> None:
    assert accept_value(TARGET, headers(connection=connection, upgrade=b"WebSocket")) == ACCEPT


UNUSUAL: list[dict[str, bytes | None]] = [
    {"upgrade": None},
    {"upgrade": b"h2c"},
    {"connection": None},
    {"connection": b"close"},
    {"connection": b"keep-alive, x, Upgrade"},
    {"sec_websocket_version": None},
    {"sec_websocket_version": b"12"},
    {"sec_websocket_key": None},
    {"sec_websocket_key": KEY + b" "},
    {"sec_websocket_key": KEY[:-4]},
    {"sec_websocket_key": b"-" + KEY[1:]},
    {"sec_websocket_protocol": b"chat"},
    {"content_length": b"0"},
    {"transfer_encoding": b"chunked"},
    {"cookie": b"a=\xc3\xa4"},
    {"cookie": b"a=b\r\nc: d"},
    {"cookie": b"a=b\n"},
    {"cookie": b"a=b "},
    {"cookie": b"a\tb"},
    {"cookie": b"x" * MAX_BYTES},
]


@pytest.mark.parametrize("changes", UNUSUAL)
def test_unusual_request_is_left_to_websockets(changes: dict[str, bytes | None]) -> None:
    assert accept_value(TARGET, headers(**changes)) is None


def test_space_at_the_end_is_unusual_in_the_last_header_and_before_it() -> None:
    assert accept_value(TARGET, [(b"first", b"x "), *headers()]) is None
    assert accept_value(TARGET, [*headers(), (b"last", b"x ")]) is None


def test_repeated_name_is_unusual() -> None:
    assert accept_value(TARGET, [*headers(), (b"host", b"example.com")]) is None


def test_many_headers_and_long_names_and_targets_are_unusual() -> None:
    many = [(b"x%d" % number, b"") for number in range(MAX_FIELDS)]
    assert accept_value(TARGET, [*headers(), *many]) is None
    assert accept_value(TARGET, [*headers(), (b"x" * MAX_BYTES, b"")]) is None
    assert accept_value(b"/" * MAX_BYTES, headers()) is None
    assert accept_value(b"/\xff", headers()) is None
    assert accept_value(b"/a\nb", headers()) is None


VALUES = st.one_of(
    st.sampled_from([*USUAL.values(), b"Upgrade, keep-alive", b"", b"0", b"5", b" ", b"a\x00b"]),
    st.binary(max_size=30),
)
NAMES = st.sampled_from(
    [*USUAL, b"content-length", b"transfer-encoding", b"sec-websocket-protocol", b"origin", b"x-a"]
)


@given(st.dictionaries(NAMES, VALUES), st.lists(st.tuples(NAMES, VALUES), max_size=2))
def test_accepted_requests_are_accepted_by_websockets_with_the_same_value(
    changes: dict[bytes, bytes], more: list[Header]
) -> None:
    request = [*(USUAL | changes).items(), *more]
    accept = accept_value(TARGET, request)
    if accept is None:
        return
    lines = [b"GET %b HTTP/1.1" % TARGET, *(b"%b: %b" % header for header in request), b"", b""]
    connection = ServerProtocol(extensions=[])
    connection.receive_data(b"\r\n".join(lines))
    (event,) = connection.events_received()
    assert isinstance(event, Request)
    response = connection.accept(event)
    assert response.status_code == 101
    assert response.headers["Sec-WebSocket-Accept"].encode() == accept
    assert [(name.encode(), value.encode("latin-1")) for name, value in event.headers.raw_items()] == request


def test_answer_has_the_headers_in_order() -> None:
    assert encode_answer(ACCEPT, [(b"server", b"x"), (b"date", b"y")]) == (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nserver: x\r\ndate: y\r\n\r\n"
    )
