"""The sending end of a link, with a plain socket as the worker."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from structlog.testing import capture_logs

from tests.support.timing import wait_until
from zmqio.launcher.worker.link import MAX_PENDING, WorkerLink
from zmqio.launcher.worker.messages import (
    FD_MARKER,
    ConnectionsClosed,
    WorkerMessage,
    WorkerReady,
    encode_worker_message,
)


@contextmanager
def link() -> Iterator[tuple[WorkerLink, socket.socket, list[WorkerMessage]]]:
    ours, theirs = socket.socketpair()
    received: list[WorkerMessage] = []
    made = WorkerLink(ours, received.append)
    with theirs:
        yield made, theirs, received
    made.close()


def connection() -> tuple[socket.socket, socket.socket]:
    """Create a connection; return its two ends."""
    return socket.socketpair()


def receive(end: socket.socket) -> socket.socket | None:
    """Receive the next socket; None at the end."""
    data, fds, _, _ = socket.recv_fds(end, 1, 1)
    assert data in (FD_MARKER, b"")
    return socket.socket(fileno=fds[0]) if fds else None


async def test_passed_socket_is_the_same_connection_and_closed_here() -> None:
    with link() as (made, theirs, _):
        given, client = connection()
        assert made.pass_socket(given)
        assert given.fileno() == -1
        arrived = receive(theirs)
        assert arrived is not None
        with client, arrived:
            arrived.send(b"hello")
            assert client.recv(5) == b"hello"
        assert made.passed == 1


async def test_messages_are_received_in_any_pieces() -> None:
    with link() as (made, theirs, received):
        theirs.sendall(
            encode_worker_message(WorkerReady()) + encode_worker_message(ConnectionsClosed(2)) + b"clos"
        )
        await wait_until(lambda: len(received) == 2, "two messages")
        theirs.sendall(b"ed 7\n")
        await wait_until(lambda: len(received) == 3, "the third message")
        assert received == [WorkerReady(), ConnectionsClosed(2), ConnectionsClosed(7)]
        assert not made.broken


async def test_sockets_for_a_worker_that_does_not_read_are_queued_in_order_up_to_a_limit() -> None:
    with link() as (made, theirs, _):
        clients = []
        while True:
            given, client = connection()
            clients.append(client)
            if not made.pass_socket(given):
                assert given.fileno() >= 0  # stays with the caller
                given.close()
                break
        count = made.passed
        assert count > MAX_PENDING
        made.finish()
        refused, other = connection()
        assert not made.pass_socket(refused)
        refused.close()
        other.close()
        theirs.setblocking(False)
        arrived = 0
        while arrived < count:
            try:
                end = receive(theirs)
            except BlockingIOError:
                await asyncio.sleep(0)
                continue
            assert end is not None
            end.send(arrived.to_bytes(4, "big"))
            assert clients[arrived].recv(4) == arrived.to_bytes(4, "big")
            end.close()
            arrived += 1
        theirs.setblocking(True)
        await asyncio.sleep(0.01)
        assert receive(theirs) is None  # the end follows all of them
        for client in clients:
            client.close()


async def test_link_to_a_dead_worker_is_broken() -> None:
    with link() as (made, theirs, _):
        theirs.close()
        given, client = connection()
        with given, client:
            assert not made.pass_socket(given)
            assert made.broken
            assert not made.pass_socket(given)


async def test_last_messages_of_a_dead_worker_are_received() -> None:
    with link() as (made, theirs, received):
        theirs.sendall(encode_worker_message(ConnectionsClosed(1)))
        theirs.close()
        made.read_remaining()
        assert received == [ConnectionsClosed(1)]
        assert made.broken


async def test_malformed_message_breaks_the_link_and_is_logged() -> None:
    with capture_logs() as logs, link() as (made, theirs, _):
        theirs.sendall(b"what?\n")
        await wait_until(lambda: made.broken, "the link to break")
    assert [line["event"] for line in logs] == ["worker_message_malformed"]


async def test_close_closes_queued_sockets() -> None:
    with link() as (made, _theirs, _):
        clients = []
        for _ in range(MAX_PENDING):
            given, client = connection()
            clients.append(client)
            assert made.pass_socket(given)
        made.close()
        made.close()
        assert clients[-1].recv(1) == b""
        for client in clients:
            client.close()
