"""Extract from a request head the facts by which a worker is chosen. Pure; no input is an error.

Knows bytes; must not know sockets or workers. A malformed request names no session, so any worker may get it and
reject it.

Source: RFC 9112, sections 2.2 (empty lines before a request line; a bare LF may end a line) and 3.2 (forms of the
request target).
"""

import re
from dataclasses import dataclass

from zmqio.protocol.query import parse_query

__all__ = ["RequestHead", "head_end", "parse_head"]

_EMPTY_LINE = re.compile(rb"\n\r?\n")
_LEADING = re.compile(rb"[\r\n]*")
_TARGET = re.compile(rb"[^ \r\n]+ +([^ \r\n]*)")
"""Method, any number of spaces, and the target: like uvicorn's parser."""
_FORWARDED_FOR = re.compile(rb"\nx-forwarded-for[ \t]*:([^\r\n]*)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class RequestHead:
    """The facts of one request head.

    Attributes:
        sid: the session id in the query, not validated; None if there is none.
        forwarded_for: the values of the X-Forwarded-For headers, in order.
    """

    sid: str | None = None
    forwarded_for: tuple[str, ...] = ()


def head_end(data: bytes | bytearray, size: int, seen: int = 0) -> int | None:
    """Return the length of the head in bytes, or None if it is incomplete.

    Args:
        data: a buffer that begins with the request.
        size: number of valid bytes in `data`.
        seen: number of these bytes that an earlier call searched without finding the end.
    """
    leading = _LEADING.match(data, 0, size)
    start = leading.end() if leading else 0
    found = _EMPTY_LINE.search(data, max(start, seen - 3), size)
    return found.end() if found else None


def parse_head(head: bytes) -> RequestHead:
    """Parse a complete head."""
    forwarded = _FORWARDED_FOR.findall(head)
    return RequestHead(_sid_of(head.lstrip(b"\r\n")), tuple(value.decode("latin-1") for value in forwarded))


def _sid_of(head: bytes) -> str | None:
    """Return the last `sid` of the query, as the engine does; None if it is empty."""
    target = _TARGET.match(head)
    query = target[1].partition(b"#")[0].partition(b"?")[2] if target else b""
    if b"sid" not in query and b"%" not in query:
        return None
    return parse_query(query.decode("latin-1")).get("sid") or None
