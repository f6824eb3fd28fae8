"""The head of a request between its ASGI scope and the messages between nodes."""

import pytest

from zmqio.engine.cors import own_origins
from zmqio.engine.handshake import ClientRequest, read_request
from zmqio.protocol.relay_messages import HttpRequest, StreamOpen
from zmqio.relay.scope import (
    forwarded_headers,
    http_scope,
    join_fields,
    split_fields,
    websocket_scope,
)

HEADERS = {"origin": "http://a", "host": "b", "user-agent": "long", "cookie": "secret", "accept-encoding": "gzip"}


class Back:
    carrier = "here-is-a-node"
    client_gone = False

    def on_settled(self, answer: object) -> None:
        pass


def test_only_headers_that_the_owner_reads_are_forwarded() -> None:
    request = ClientRequest("GET", "/", "", HEADERS)
    assert forwarded_headers(request) == ("accept-encoding", "gzip", "origin", "http://a", "host", "b")


@pytest.mark.parametrize("proxied", [True, False])
def test_forwarded_host_is_sent_if_this_node_believed_it(proxied: bool) -> None:
    headers = {"host": "b", "x-forwarded-host": "c", "x-forwarded-proto": "https"}
    request = ClientRequest("GET", "/", "", headers, secure=True, proxied=proxied)
    fields = forwarded_headers(request)
    assert fields == (("host", "b", "x-forwarded-host", "c") if proxied else ("host", "b"))
    head = "", fields, "10.0.0.1", request.secure
    for scope in (
        http_scope(HttpRequest(1, "GET", *head, b"", True), Back()),
        websocket_scope(StreamOpen(1, *head, 100), Back()),
    ):
        assert own_origins(read_request(scope)) == ({"https://b", "https://c"} if proxied else {"https://b"})


@pytest.mark.parametrize("secure", [True, False])
def test_owner_sees_the_same_request(secure: bool) -> None:
    asked = ClientRequest("POST", "/x/", "EIO=4&sid=\xe9%20", {"origin": "http://\xe9"}, "10.0.0.1", secure)
    head = asked.query, forwarded_headers(asked), asked.address, asked.secure
    read = read_request(http_scope(HttpRequest(1, "POST", *head, b"", True), Back()))
    assert (read.method, read.query, read.headers) == ("POST", asked.query, {"origin": "http://\xe9"})
    assert (read.address, read.secure) == ("10.0.0.1", secure)
    opened = read_request(websocket_scope(StreamOpen(1, *head, 100), Back()))
    assert (opened.query, opened.headers, opened.secure) == (asked.query, read.headers, secure)


def test_unknown_address_stays_unknown() -> None:
    assert read_request(http_scope(HttpRequest(1, "GET", "", (), "", False, b"", True), Back())).address == ""


def test_header_fields_round_trip() -> None:
    fields = [(b"content-type", b"text/html"), (b"set-cookie", b"a=\xe9"), (b"set-cookie", b"b")]
    assert split_fields(join_fields(fields)) == fields


def test_character_outside_latin_1_becomes_a_question_mark() -> None:
    assert split_fields(("x", "\u20ac")) == [(b"x", b"?")]
