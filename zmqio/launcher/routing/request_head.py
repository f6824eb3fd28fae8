"""Read from the head of an HTTP request what choosing a worker needs. Pure; never fails on rubbish.

Knows bytes; must not know sockets or workers. It does not judge a request: what is malformed names no session,
goes to any worker, and is refused there.

Source: RFC 9112, sections 2.2 (empty lines before a request line; a bare LF may end a line) and 3.2 (forms of the
request target).
"""

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl

__all__ = ["MAX_HEAD_BYTES", "RequestHead", "head_end", "parse_head"]

MAX_HEAD_BYTES = 1 << 16
"""Longest head that is waited for, as in h11 and uvicorn; a longer one is refused with 431."""

_LINE_END = re.compile(rb"\r?\n")
_EMPTY_LINE = re.compile(rb"\n\r?\n")
_LEADING = re.compile(rb"[\r\n]*")
_FORWARDED_FOR = re.compile(rb"\nx-forwarded-for[ \t]*:([^\r\n]*)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class RequestHead:
    """What a request says about where it belongs.

    Attributes:
        sid: the session id in its query; None if there is none. Whether it is one was not checked.
        forwarded_for: the values of its X-Forwarded-For headers, first one first.
    """

    sid: str | None = None
    forwarded_for: tuple[str, ...] = ()


def head_end(data: bytes | bytearray, size: int, seen: int = 0) -> int | None:
    """Where the head ends in `data`: the number of its bytes, or None if its end is not there yet.

    Args:
        data: begins with the request; only its first `size` bytes count.
        size: bytes.
        seen: how many of them were looked at before, without an end.
    """
    leading = _LEADING.match(data, 0, size)
    start = leading.end() if leading else 0
    found = _EMPTY_LINE.search(data, max(start, seen - 3), size)
    return found.end() if found else None


def parse_head(head: bytes) -> RequestHead:
    """Read a complete head."""
    head = head.lstrip(b"\r\n")
    end = _LINE_END.search(head)
    request_line = head[: end.start()] if end else head
    forwarded = _FORWARDED_FOR.findall(head)
    return RequestHead(_sid_of(request_line), tuple(value.decode("latin-1") for value in forwarded))


def _sid_of(request_line: bytes) -> str | None:
    """The last `sid` of the query, as the engine reads it; an empty one is none."""
    target = request_line.split(b" ", 2)[1:2]
    query = target[0].partition(b"#")[0].partition(b"?")[2] if target else b""
    if b"sid" not in query and b"%" not in query:
        return None
    pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    return dict(pairs).get("sid") or None
