"""The checks of requests, and their answers."""

import json

import pytest

from zmqio.config import EngineOptions
from zmqio.engine.handshake import (
    BAD_HANDSHAKE_METHOD,
    BAD_REQUEST,
    FORBIDDEN,
    JSONP_UNSUPPORTED,
    PEER,
    PROXIED,
    UNKNOWN_SID,
    UNKNOWN_TRANSPORT,
    UNSUPPORTED_VERSION,
    ClientRequest,
    Refusal,
    check_handshake,
    check_head,
    check_query,
    check_session_request,
    check_transport,
    open_packet,
    read_request,
)
from zmqio.ids import EngineSid
from zmqio.trusted_proxies import TrustedProxies

POLLING = {"EIO": "4", "transport": "polling"}
WEBSOCKET = {"EIO": "4", "transport": "websocket"}


@pytest.mark.parametrize(
    ("refusal", "status", "body"),
    [
        (UNKNOWN_TRANSPORT, 400, b'{"code":0,"message":"Transport unknown"}'),
        (UNKNOWN_SID, 400, b'{"code":1,"message":"Session ID unknown"}'),
        (BAD_HANDSHAKE_METHOD, 400, b'{"code":2,"message":"Bad handshake method"}'),
        (BAD_REQUEST, 400, b'{"code":3,"message":"Bad request"}'),
        (FORBIDDEN, 403, b'{"code":4,"message":"Forbidden"}'),
        (UNSUPPORTED_VERSION, 400, b'{"code":5,"message":"Unsupported protocol version"}'),
    ],
)
def test_error_bodies_are_those_of_the_javascript_server(refusal: Refusal, status: int, body: bytes) -> None:
    assert (refusal.status, refusal.body) == (status, body)


def test_fractional_intervals_are_announced_in_milliseconds() -> None:
    options = EngineOptions(ping_interval_s=0.3, ping_timeout_s=0.2)
    text = open_packet(EngineSid("s" * 20), ["websocket"], options)
    assert text.startswith("0")
    assert json.loads(text[1:]) == {
        "sid": "s" * 20,
        "upgrades": ["websocket"],
        "pingInterval": 300,
        "pingTimeout": 200,
        "maxPayload": 1_000_000,
    }


def test_query_with_too_many_fields_is_refused() -> None:
    assert check_query("a=1&b") is None
    assert check_query("&" * 100) == Refusal(3, "The query has more than 100 fields")


def test_values_of_repeated_headers_are_joined() -> None:
    headers = [(b"A", b"1"), (b"b", b"2"), (b"a", b"3"), (b"a", b"4")]
    assert read_request({"path": "/", "headers": headers}).headers == {"a": "1, 3, 4", "b": "2"}


def _request(query: str = "", headers: int = 1, value: str = "v") -> ClientRequest:
    return ClientRequest("GET", "/socket.io/", query, {f"x-{number}": value for number in range(headers)})


def test_head_that_a_session_keeps_is_limited_in_bytes_and_headers() -> None:
    head = len("/socket.io/") + len("a=1") + len("x-0")
    assert check_head(_request("a=1", value="v" * 100), head + 100) is None
    refusal = check_head(_request("a=1", value="v" * 101), head + 100)
    assert (refusal.status, refusal.message) == (
        431,
        f"Request head over {head + 100} bytes (max_handshake_bytes)",
    )
    assert check_head(_request(headers=100), 10_000) is None
    assert check_head(_request(headers=101), 10_000).message == "Request head over 100 headers"


@pytest.mark.parametrize("parameters", [{}, {"transport": "abc"}, {"transport": "webtransport"}])
def test_transport_that_is_not_offered_is_refused(parameters: dict[str, str]) -> None:
    assert check_transport(parameters, ["polling", "websocket"]) is UNKNOWN_TRANSPORT


def test_disabled_transport_is_unknown() -> None:
    assert check_transport(POLLING, ["websocket"]) is UNKNOWN_TRANSPORT
    assert check_transport(WEBSOCKET, ["websocket"]) is None


def test_jsonp_is_refused_by_name() -> None:
    assert check_transport({**POLLING, "j": "0"}, ["polling"]) is JSONP_UNSUPPORTED


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "HEAD"])
def test_handshake_is_get_only(method: str) -> None:
    assert check_handshake(method, POLLING, websocket=False) is BAD_HANDSHAKE_METHOD


@pytest.mark.parametrize("version", [None, "3", "5", "abc", ""])
def test_other_protocol_versions_are_refused(version: str | None) -> None:
    parameters = {"transport": "polling"} | ({} if version is None else {"EIO": version})
    assert check_handshake("GET", parameters, websocket=False) is UNSUPPORTED_VERSION


def test_websocket_transport_needs_a_websocket_and_the_other_way_round() -> None:
    assert check_handshake("GET", WEBSOCKET, websocket=False) is BAD_REQUEST
    assert check_handshake("GET", POLLING, websocket=True) is BAD_REQUEST
    assert check_handshake("GET", WEBSOCKET, websocket=True) is None
    assert check_handshake("GET", POLLING, websocket=False) is None


def test_session_request_has_to_use_its_transport_and_version() -> None:
    assert check_session_request(POLLING, "polling", websocket=False) is None
    assert check_session_request(POLLING, "websocket", websocket=False) is BAD_REQUEST
    assert check_session_request(WEBSOCKET, "polling", websocket=False) is BAD_REQUEST
    assert check_session_request(WEBSOCKET, "polling", websocket=True) is None
    assert check_session_request({**POLLING, "EIO": "3"}, "polling", websocket=False) is BAD_REQUEST


def test_request_is_read_from_an_asgi_scope() -> None:
    request = read_request(
        {
            "type": "http",
            "method": "POST",
            "path": "/socket.io/",
            "query_string": b"EIO=4&transport=polling&token=a%20b&flag",
            "headers": [(b"Host", b"x"), (b"x-a", b"1"), (b"X-A", b"2")],
            "client": ("10.0.0.1", 5),
            "scheme": "https",
        }
    )
    assert (request.method, request.path, request.secure) == ("POST", "/socket.io/", True)
    assert request.address == "10.0.0.1"
    assert request.headers == {"host": "x", "x-a": "1, 2"}
    assert request.parameters == {"EIO": "4", "transport": "polling", "token": "a b", "flag": ""}
    assert request.time > 0


def test_request_has_no_address_if_the_server_names_no_client() -> None:
    request = read_request({"type": "websocket", "path": "/", "headers": [], "client": None, "scheme": "ws"})
    assert (request.method, request.address, request.secure, request.query) == ("GET", "", False, "")


FORWARDED = [(b"host", b"inner"), (b"x-forwarded-proto", b"http, https"), (b"x-forwarded-host", b"front")]


@pytest.mark.parametrize(
    ("extensions", "client", "believed"),
    [
        ({}, "10.0.0.1", True),
        ({}, "10.0.0.2", False),
        ({PEER: "10.0.0.1"}, "203.0.113.9", True),  # the client that the proxy forwarded
        ({PEER: "203.0.113.9"}, "10.0.0.1", False),  # a client that forwards the address of the proxy
        ({PEER: None}, "10.0.0.1", False),  # a unix socket
        ({PROXIED: True}, "203.0.113.9", True),  # believed by the node that relayed it
    ],
)
def test_forwarded_headers_are_believed_from_the_peer_of_the_connection(
    extensions: dict[str, object], client: str, believed: bool
) -> None:
    scope = {"path": "/", "headers": FORWARDED, "client": (client, 1), "extensions": extensions}
    request = read_request(scope, TrustedProxies("10.0.0.1"))
    assert (request.proxied, request.secure) == (believed, believed)


def test_request_without_forwarded_headers_keeps_the_servers_scheme() -> None:
    scope = {"path": "/", "headers": [], "client": ("10.0.0.1", 1), "scheme": "wss"}
    request = read_request(scope, TrustedProxies("*"))
    assert (request.proxied, request.secure) == (False, True)
