"""Answers that need no worker: one write, best effort, then the connection is closed."""

import contextlib
import select
import socket
from http import HTTPStatus

__all__ = ["HEAD_TOO_LARGE", "HEAD_TOO_SLOW", "NO_WORKER", "has_ended", "refuse"]

_DISCARD_BYTES = 1 << 17
_POLLRDHUP = getattr(select, "POLLRDHUP", 0)


def _answer(status: HTTPStatus) -> bytes:
    body = f"{status.phrase}\n".encode()
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\ncontent-type: text/plain\r\n"
        f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
    )
    return head.encode() + body


HEAD_TOO_SLOW = _answer(HTTPStatus.REQUEST_TIMEOUT)
HEAD_TOO_LARGE = _answer(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
NO_WORKER = _answer(HTTPStatus.SERVICE_UNAVAILABLE)


def refuse(connection: socket.socket, answer: bytes) -> None:
    """Write `answer` and close.

    What the client has sent is read and dropped first: closed with bytes unread, the kernel would reset the
    connection and take the answer back.
    """
    with connection:
        with contextlib.suppress(OSError):
            connection.recv(_DISCARD_BYTES, socket.MSG_DONTWAIT)
        with contextlib.suppress(OSError):
            connection.send(answer, socket.MSG_DONTWAIT)
            connection.shutdown(socket.SHUT_WR)


def has_ended(connection: socket.socket) -> bool:
    """Whether the client has closed its side, which a peek cannot tell while there are bytes to read."""
    poller = select.poll()
    poller.register(connection.fileno(), _POLLRDHUP)
    return bool(poller.poll(0))
