"""HTTP error responses that are sent without a worker: one write, best effort, then the connection is closed."""

import contextlib
import socket
from http import HTTPStatus

__all__ = [
    "HEAD_TIMED_OUT",
    "HEAD_TOO_LARGE",
    "NO_WORKER",
    "WORKER_STALLED",
    "respond_and_close",
]

_DISCARD_BYTES = 1 << 17


def _response(status: HTTPStatus, reason: str = "") -> bytes:
    body = f"{reason or status.phrase}\n".encode()
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: text/plain\r\n"
        f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
    )
    return head.encode() + body


HEAD_TIMED_OUT = _response(HTTPStatus.REQUEST_TIMEOUT)
HEAD_TOO_LARGE = _response(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
NO_WORKER = _response(HTTPStatus.SERVICE_UNAVAILABLE)
WORKER_STALLED = _response(
    HTTPStatus.SERVICE_UNAVAILABLE, "The process that owns this session does not respond. Try again, or reconnect."
)


def respond_and_close(connection: socket.socket, response: bytes) -> None:
    """Write `response` and close the connection.

    Received bytes are read and discarded first: if a socket is closed with unread bytes, the kernel resets the
    connection and drops the response.
    """
    with connection:
        with contextlib.suppress(OSError):
            connection.recv(_DISCARD_BYTES, socket.MSG_DONTWAIT)
        with contextlib.suppress(OSError):
            connection.send(response, socket.MSG_DONTWAIT)
            connection.shutdown(socket.SHUT_WR)
