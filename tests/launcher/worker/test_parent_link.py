"""The worker's end of its link, with a plain socket as the parent."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from structlog.testing import capture_logs

from tests.support.timing import wait_until
from zmqio.hosting.descriptor_reserve import DescriptorReserve
from zmqio.launcher.worker import parent_link
from zmqio.launcher.worker.messages import (
    FD_MARKER,
    ConnectionsClosed,
    WorkerAlive,
    WorkerMessageReader,
    WorkerReady,
    WorkerStopping,
)
from zmqio.launcher.worker.parent_link import ParentLink


class Worker:
    """Records what a link reports."""

    def __init__(self) -> None:
        self.received: list[socket.socket] = []
        self.dropped = 0
        self.ends = 0

    def drop(self) -> None:
        self.dropped += 1

    def end(self) -> None:
        self.ends += 1


class Reserve(DescriptorReserve):
    """Reports what the test has set as `reached`."""

    def __init__(self) -> None:
        super().__init__()
        self.reached = False

    def is_reached(self, _: int) -> bool:
        return self.reached


@contextmanager
def link(reserve: Reserve | None = None) -> Iterator[tuple[ParentLink, socket.socket, Worker]]:
    ours, theirs = socket.socketpair()
    worker = Worker()
    made = ParentLink(
        ours, on_socket=worker.received.append, on_dropped=worker.drop, on_end=worker.end, reserve=reserve
    )
    made.open()
    with ours, theirs:
        yield made, theirs, worker
        made.close()
    for connection in worker.received:
        connection.close()


async def test_received_sockets_are_not_inheritable() -> None:
    with link() as (_made, theirs, worker):
        ends = [socket.socketpair() for _ in range(100)]
        for given, _ in ends:
            socket.send_fds(theirs, [FD_MARKER], [given.fileno()])
            given.close()
        await wait_until(lambda: len(worker.received) == 100, "all sockets")
        assert not any(connection.get_inheritable() for connection in worker.received)
        worker.received[99].send(b"x")
        assert ends[99][1].recv(1) == b"x"
        for _, client in ends:
            client.close()


async def test_socket_that_cannot_be_received_is_counted() -> None:
    with link() as (_made, theirs, worker):
        theirs.send(FD_MARKER)  # without the socket, as when no file can be opened
        await wait_until(lambda: worker.dropped == 1, "the dropped socket")


async def test_unexpected_end_is_reported() -> None:
    with link() as (made, theirs, worker):
        theirs.close()
        await wait_until(lambda: worker.ends == 1, "the log line")
        await made.finish()  # returns at once


def send_connections(link: socket.socket, count: int) -> None:
    for _ in range(count):
        given, client = socket.socketpair()
        with given, client:
            socket.send_fds(link, [FD_MARKER], [given.fileno()])


async def test_sockets_wait_in_the_link_while_few_descriptors_are_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parent_link, "RETRY_S", 0.01)
    reserve = Reserve()
    reserve.reached = True
    with capture_logs() as logs, link(reserve) as (_made, theirs, worker):
        send_connections(theirs, 10)
        await wait_until(lambda: worker.received, "the first one")
        await asyncio.sleep(0.05)
        assert len(worker.received) == 1
        reserve.reached = False
        await wait_until(lambda: len(worker.received) == 10, "the others")
        reserve.reached = True
        send_connections(theirs, 10)
        await wait_until(lambda: len(worker.received) == 11, "the next one")
    assert [line["event"] for line in logs] == ["accept_failed"]


async def test_link_that_waits_for_descriptors_notices_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parent_link, "RETRY_S", 0.01)
    reserve = Reserve()
    reserve.reached = True
    with link(reserve) as (made, theirs, worker):
        send_connections(theirs, 3)
        await wait_until(lambda: worker.received, "the first one")
        theirs.close()
        await wait_until(lambda: worker.ends == 1, "the end")
        assert len(worker.received) == 3
    with link(reserve) as (made, theirs, worker):
        send_connections(theirs, 3)
        await wait_until(lambda: worker.received, "the first one")
        finishing = asyncio.ensure_future(made.finish())
        theirs.shutdown(socket.SHUT_WR)
        await finishing
        assert len(worker.received) == 3


async def test_dropped_sockets_are_logged_once_per_interval() -> None:
    with capture_logs() as logs, link() as (_made, theirs, worker):
        for _ in range(50):
            theirs.send(FD_MARKER)
        await wait_until(lambda: worker.dropped == 50, "all of them")
    assert [line["event"] for line in logs] == ["socket_dropped"]


async def test_sockets_in_transit_are_received_while_finishing() -> None:
    with link() as (made, theirs, worker):
        finishing = asyncio.ensure_future(made.finish())
        await asyncio.sleep(0)
        assert WorkerMessageReader().feed(theirs.recv(1000)) == [WorkerStopping()]
        given, client = socket.socketpair()
        socket.send_fds(theirs, [FD_MARKER], [given.fileno()])
        theirs.shutdown(socket.SHUT_WR)
        await finishing
        assert len(worker.received) == 1
        assert worker.ends == 0
        given.close()
        client.close()


async def test_reports_to_a_parent_that_does_not_read_are_merged() -> None:
    with link() as (made, theirs, _worker):
        made.send(WorkerReady())
        for _ in range(100_000):
            made.report_closed(1)
        reader, found = WorkerMessageReader(), []
        theirs.setblocking(False)

        def total() -> int:
            with suppress(BlockingIOError):
                found.extend(reader.feed(theirs.recv(1 << 16)))
            return sum(message.count for message in found if isinstance(message, ConnectionsClosed))

        await wait_until(lambda: total() >= 100_000, "all closed connections")
        assert total() == 100_000
        assert found[0] == WorkerReady()
        assert len(found) < 50_000


async def test_heartbeats_to_a_parent_that_does_not_read_are_not_queued() -> None:
    with link() as (made, theirs, _worker):
        for _ in range(100_000):
            made.send_heartbeat()
        theirs.setblocking(False)
        received = b""
        with suppress(BlockingIOError):
            while data := theirs.recv(1 << 16):
                received += data
        assert set(WorkerMessageReader().feed(received)) == {WorkerAlive()}
        assert len(received) < 500_000


async def test_nothing_is_sent_before_open() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        made = ParentLink(ours, on_socket=lambda _: None, on_dropped=lambda: None, on_end=lambda: None)
        made.send(WorkerReady())
        await made.finish()
        made.close()
        theirs.setblocking(False)
        made.open()
        made.send(WorkerReady())
        made.close()
        assert theirs.recv(100) == b"ready\n"
