"""The balancer's end of a link, against a plain socket."""

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
    """A connection, and its client's end."""
    return socket.socketpair()


def receive(end: socket.socket) -> socket.socket | None:
    """The next connection that was handed over; None at the end."""
    data, fds, _, _ = socket.recv_fds(end, 1, 1)
    assert data in (FD_MARKER, b"")
    return socket.socket(fileno=fds[0]) if fds else None


async def test_connection_that_is_given_is_the_same_one_and_closed_here() -> None:
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


async def test_reports_are_heard() -> None:
    with link() as (made, theirs, received):
        theirs.sendall(
            encode_worker_message(WorkerReady()) + encode_worker_message(ConnectionsClosed(2)) + b"clos"
        )
        await wait_until(lambda: len(received) == 2, "both")
        theirs.sendall(b"ed 7\n")
        await wait_until(lambda: len(received) == 3, "the third")
        assert received == [WorkerReady(), ConnectionsClosed(2), ConnectionsClosed(7)]
        assert not made.broken


async def test_worker_that_takes_none_has_them_wait_up_to_a_bound_and_in_order() -> None:
    with link() as (made, theirs, _):
        clients = []
        while True:
            given, client = connection()
            clients.append(client)
            if not made.pass_socket(given):
                assert given.fileno() >= 0  # still the caller's
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
        assert receive(theirs) is None  # the end comes behind all of them
        for client in clients:
            client.close()


async def test_worker_that_is_gone_breaks_the_link() -> None:
    with link() as (made, theirs, _):
        theirs.close()
        given, client = connection()
        with given, client:
            assert not made.pass_socket(given)
            assert made.broken
            assert not made.pass_socket(given)


async def test_end_of_the_worker_is_heard_without_giving() -> None:
    with link() as (made, theirs, received):
        theirs.sendall(encode_worker_message(ConnectionsClosed(1)))
        theirs.close()
        made.read_remaining()
        assert received == [ConnectionsClosed(1)]
        assert made.broken


async def test_rubbish_breaks_the_link_and_is_told() -> None:
    with capture_logs() as logs, link() as (made, theirs, _):
        theirs.sendall(b"what?\n")
        await wait_until(lambda: made.broken, "it is broken")
    assert [line["event"] for line in logs] == ["worker_message_malformed"]


async def test_closing_closes_what_waits() -> None:
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
