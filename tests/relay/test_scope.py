"""The head of a request on its way between two nodes."""

import pytest

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
    def may_come_back(self, undo: object) -> None:
        pass


def test_only_what_the_owner_looks_at_travels() -> None:
    request = ClientRequest("GET", "/", "", HEADERS)
    assert forwarded_headers(request) == ("accept-encoding", "gzip", "origin", "http://a", "host", "b")


@pytest.mark.parametrize("secure", [True, False])
def test_owner_reads_the_same_request(secure: bool) -> None:
    asked = ClientRequest("POST", "/x/", "EIO=4&sid=\xe9%20", {"origin": "http://\xe9"}, "10.0.0.1", secure)
    head = asked.query, forwarded_headers(asked), asked.address, asked.secure
    read = read_request(http_scope(HttpRequest(1, "POST", *head, b"", True), Back()))
    assert (read.method, read.query, read.headers) == ("POST", asked.query, {"origin": "http://\xe9"})
    assert (read.address, read.secure) == ("10.0.0.1", secure)
    opened = read_request(websocket_scope(StreamOpen(1, *head, 100), Back()))
    assert (opened.query, opened.headers, opened.secure) == (asked.query, read.headers, secure)


def test_unknown_address_stays_unknown() -> None:
    assert read_request(http_scope(HttpRequest(1, "GET", "", (), "", False, b"", True), Back())).address == ""


def test_header_fields_come_back() -> None:
    fields = [(b"content-type", b"text/html"), (b"set-cookie", b"a=\xe9"), (b"set-cookie", b"b")]
    assert split_fields(join_fields(fields)) == fields


def test_what_no_header_can_have_in_it_raises_nothing() -> None:
    assert split_fields(("x", "\u20ac")) == [(b"x", b"?")]
