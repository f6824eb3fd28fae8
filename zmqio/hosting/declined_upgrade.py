"""Continue to parse a request whose offer to upgrade the connection is declined.

The parser ends such a request at its head, and takes its body for another protocol. A server may ignore an offer
and answer in HTTP/1.1 (RFC 9110, section 7.8), so a new parser gets a head without the offer, and then the body.
"""

from collections.abc import Iterable
from typing import Any

from httptools import HttpRequestParser

__all__ = ["parser_without_upgrade"]

_FRAMING = (b"content-length", b"transfer-encoding")


def parser_without_upgrade(protocol: Any, headers: Iterable[tuple[bytes, bytes]]) -> HttpRequestParser:
    """Return a parser that expects the body of a request, and then further requests.

    Args:
        protocol: gets the parser's callbacks, except for those of this head. If the request has no body,
            `on_message_complete` is called at once.
        headers: headers of the request, with names in lower case.
    """
    callbacks = _Callbacks(protocol)
    parser = HttpRequestParser(callbacks)
    if hasattr(parser, "set_dangerous_leniencies"):
        parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does
    framing = [name + b": " + value + b"\r\n" for name, value in headers if name in _FRAMING]
    parser.feed_data(b"POST / HTTP/1.1\r\n" + b"".join(framing))
    protocol.parser = parser
    parser.feed_data(b"\r\n")
    callbacks.is_replaying = False
    return parser


class _Callbacks:
    """Passes a parser's callbacks on to a protocol, except for the head that is replayed."""

    def __init__(self, protocol: Any) -> None:
        self.is_replaying = True
        self._protocol = protocol
        self.on_body = protocol.on_body
        self.on_message_complete = protocol.on_message_complete

    def on_message_begin(self) -> None:
        if not self.is_replaying:
            self._protocol.on_message_begin()

    def on_url(self, url: bytes) -> None:
        if not self.is_replaying:
            self._protocol.on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self.is_replaying:
            self._protocol.on_header(name, value)

    def on_headers_complete(self) -> None:
        if not self.is_replaying:
            self._protocol.on_headers_complete()
