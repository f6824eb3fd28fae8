"""The opening handshake of a WebSocket whose request the HTTP protocol has already parsed. Pure.

`websockets` would read the request a second time, from bytes. Only requests in the usual form are accepted
here. All others, and with them every refusal, are left to `websockets`.

Source: RFC 6455, sections 4.2.1 and 4.2.2.
"""

import re
from base64 import b64encode
from collections.abc import Iterable, Sequence
from hashlib import sha1

__all__ = ["Header", "accept_value", "encode_answer"]

Header = tuple[bytes, bytes]
"""A name in lower case, and a value."""

MAX_BYTES = 4096
"""Most bytes of target, names and values in the usual form. `websockets` refuses lines over 8 KiB."""
MAX_FIELDS = 64
"""Most headers in the usual form. `websockets` refuses more than 128."""
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_KEY = re.compile(rb"[A-Za-z0-9+/]{22}==")
"""16 bytes in base64."""
_PRINTABLE = bytes(range(0x20, 0x7F))
_CONNECTION = frozenset((b"upgrade", b"keep-alive, upgrade"))
"""The values of Connection that clients and proxies send, in lower case."""
_UNUSUAL = frozenset((b"content-length", b"sec-websocket-protocol", b"transfer-encoding"))
"""Headers that `websockets` checks."""
_ANSWER = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
)


def accept_value(target: bytes, headers: Sequence[Header]) -> bytes | None:
    """Check an opening request; return the value of Sec-WebSocket-Accept, or None if its form is unusual.

    Args:
        target: path and query of the GET request, as sent.
        headers: its headers.
    """
    fields = dict(headers)
    key = fields.get(b"sec-websocket-key", b"")
    if (
        len(fields) != len(headers)  # a repeated name
        or not _KEY.fullmatch(key)
        or fields.get(b"sec-websocket-version") != b"13"
        or fields.get(b"upgrade", b"").lower() != b"websocket"
        or fields.get(b"connection", b"").lower() not in _CONNECTION
        or not _UNUSUAL.isdisjoint(fields)
        or not _is_usual_text(target, fields)
    ):
        return None
    return b64encode(sha1(key + _GUID, usedforsecurity=False).digest())


def encode_answer(accept: bytes, headers: Iterable[Header]) -> bytes:
    """Encode the answer that opens the WebSocket.

    Args:
        accept: the value of Sec-WebSocket-Accept.
        headers: further headers, which must be valid.
    """
    lines = [b"%b: %b\r\n" % header for header in headers]
    return b"".join((_ANSWER, accept, b"\r\n", *lines, b"\r\n"))


def _is_usual_text(target: bytes, fields: dict[bytes, bytes]) -> bool:
    """Whether all is printable ASCII, without space at the end of a value, and not long."""
    count = len(fields)
    values = b"\n".join((target, *fields.values()))
    return (
        count <= MAX_FIELDS
        and len(values) + sum(map(len, fields)) <= MAX_BYTES
        and values.translate(None, _PRINTABLE) == b"\n" * count
        and b" \n" not in values
        and not values.endswith(b" ")
    )
