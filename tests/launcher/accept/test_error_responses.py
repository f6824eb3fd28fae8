"""Error responses that need no worker."""

import socket

from zmqio.launcher.accept.error_responses import (
    HEAD_TIMED_OUT,
    HEAD_TOO_LARGE,
    NO_WORKER,
    WORKER_STALLED,
    respond_and_close,
)


def test_responses_are_complete_and_close_the_connection() -> None:
    for answer, status in (
        *((HEAD_TIMED_OUT, b"408"), (HEAD_TOO_LARGE, b"431")),
        *((NO_WORKER, b"503"), (WORKER_STALLED, b"503")),
    ):
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 " + status)
        assert b"content-length: %d" % len(body) in head
        assert b"connection: close" in head


def test_response_arrives_despite_unread_bytes() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        connection, _ = listener.accept()
        client.sendall(b"x" * 1000)
        connection.recv(1000, socket.MSG_PEEK | socket.MSG_WAITALL)
        respond_and_close(connection, NO_WORKER)
        with client:
            assert client.recv(10_000) == NO_WORKER
            assert client.recv(10_000) == b""


def test_disconnected_client_is_not_an_error() -> None:
    ours, theirs = socket.socketpair()
    theirs.close()
    respond_and_close(ours, NO_WORKER)
    assert ours.fileno() == -1
