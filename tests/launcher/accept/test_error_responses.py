"""Answers without a worker."""

import socket

from zmqio.launcher.accept.error_responses import (
    HEAD_TIMED_OUT,
    HEAD_TOO_LARGE,
    NO_WORKER,
    peer_has_closed,
    respond_and_close,
)


def test_answers_are_whole_and_close() -> None:
    for answer, status in ((HEAD_TIMED_OUT, b"408"), (HEAD_TOO_LARGE, b"431"), (NO_WORKER, b"503")):
        head, _, body = answer.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 " + status)
        assert b"content-length: %d" % len(body) in head
        assert b"connection: close" in head


def test_answer_arrives_although_bytes_were_unread() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        connection, _ = listener.accept()
        client.sendall(b"x" * 1000)
        connection.recv(1000, socket.MSG_PEEK | socket.MSG_WAITALL)
        respond_and_close(connection, NO_WORKER)
        with client:
            assert client.recv(10_000) == NO_WORKER
            assert client.recv(10_000) == b""


def test_client_that_has_gone_is_no_error() -> None:
    ours, theirs = socket.socketpair()
    theirs.close()
    respond_and_close(ours, NO_WORKER)
    assert ours.fileno() == -1


def test_end_behind_unread_bytes_is_seen() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        connection, _ = listener.accept()
        with client, connection:
            client.sendall(b"x")
            assert not peer_has_closed(connection)
            client.shutdown(socket.SHUT_WR)
            connection.recv(1, socket.MSG_PEEK)
            assert peer_has_closed(connection)
