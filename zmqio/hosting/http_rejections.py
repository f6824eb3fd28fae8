"""Requests that the HTTP protocol rejects before an application sees them: limits, answers, counters and log."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from zmqio.config import HttpLimits
from zmqio.log_limit import LimitedLog
from zmqio.logger import get_logger
from zmqio.metrics.process import HTTP_COUNTERS
from zmqio.trusted_proxies import MAX_FORWARDED_ADDRESSES

__all__ = [
    "FEW_HEAD_BYTES",
    "MALFORMED",
    "MAX_HEAD_FIELDS",
    "Rejection",
    "answer_unread",
    "count_rejection",
    "excess_of_fields",
    "head_timed_out",
    "head_too_large",
    "response_to",
]

MAX_HEAD_FIELDS = 100
"""Most header fields of a request."""
FEW_HEAD_BYTES = 400
"""Most bytes of a head whose fields are not counted: it has no room for many."""

_log = LimitedLog(get_logger(__name__))


class Rejection:
    """The reason and the answer with which a request is rejected.

    Args:
        counter: name of the counter, and the reason in the log.
        status: status of the answer.
        text: text of the answer: what failed, the limit, and what to do.
        option: name of the option that sets the limit; empty if there is none.
    """

    def __init__(self, counter: str, status: HTTPStatus, text: str, option: str = "") -> None:
        self.counter = counter
        self.status = status
        self.text = text
        self.option = option


MALFORMED = Rejection(
    "requests_malformed", HTTPStatus.BAD_REQUEST, "The request is not valid HTTP/1.1; check what sends it."
)
_TOO_MANY_FIELDS = Rejection(
    "heads_too_large",
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    f"The request has more than {MAX_HEAD_FIELDS} header fields; send fewer.",
)
_TOO_MANY_ADDRESSES = Rejection(
    "heads_too_large",
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    f"X-Forwarded-For has more than {MAX_FORWARDED_ADDRESSES} addresses; let the outermost proxy replace it.",
)


def head_too_large(limits: HttpLimits) -> Rejection:
    """A head, or the trailers of a body, with too many bytes."""
    return Rejection(
        "heads_too_large",
        HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
        f"The request head is larger than {limits.max_head_bytes} bytes; send a shorter query and fewer cookies.",
        "ZMQIO_MAX_HEAD_BYTES",
    )


def head_timed_out(limits: HttpLimits) -> Rejection:
    """A head that took too long."""
    return Rejection(
        "heads_timed_out",
        HTTPStatus.REQUEST_TIMEOUT,
        f"The request head did not arrive within {limits.head_limit_s:g} seconds; send the request again.",
        "ZMQIO_HEAD_LIMIT_S",
    )


def answer_unread(limits: HttpLimits) -> Rejection:
    """An answer of which the client reads nothing; the connection is dropped without another one."""
    return Rejection(
        "answers_unread",
        HTTPStatus.REQUEST_TIMEOUT,
        f"The client has read nothing of an answer for {limits.write_timeout_s:g} seconds.",
        "ZMQIO_WRITE_TIMEOUT_S",
    )


def excess_of_fields(headers: Sequence[tuple[bytes, bytes]]) -> Rejection | None:
    """Return why a head of more than `FEW_HEAD_BYTES` has too many fields or addresses; None if it has not."""
    if len(headers) > MAX_HEAD_FIELDS:
        return _TOO_MANY_FIELDS
    return _TOO_MANY_ADDRESSES if _count_addresses(headers) > MAX_FORWARDED_ADDRESSES else None


def count_rejection(rejection: Rejection, client: Any) -> None:
    """Count and log a rejection."""
    counter = rejection.counter
    HTTP_COUNTERS[counter] += 1
    facts: dict[str, Any] = {"option": rejection.option} if rejection.option else {}
    if client:
        facts["client"] = client[0]
    _log.warning(
        "connection_rejected", reason=counter, total=HTTP_COUNTERS[counter], error=rejection.text, **facts
    )


def response_to(rejection: Rejection) -> bytes:
    """Return a whole HTTP/1.1 response, after which the connection is closed."""
    body = f"{rejection.text}\n".encode()
    head = (
        f"HTTP/1.1 {rejection.status.value} {rejection.status.phrase}\r\n"
        "content-type: text/plain; charset=utf-8\r\n"
        f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
    )
    return head.encode() + body


def _count_addresses(headers: Sequence[tuple[bytes, bytes]]) -> int:
    return sum(value.count(b",") + 1 for name, value in headers if name == b"x-forwarded-for")
