"""A worker's end of its link, against a plain socket."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from tests.support.timing import wait_until
from zmqio.launcher.worker.messages import PASS, Closed, ReportReader, Stopping, WorkerReady
from zmqio.launcher.worker.parent_link import ParentLink


class Worker:
    """What a link tells its worker."""

    def __init__(self) -> None:
        self.taken: list[socket.socket] = []
        self.lost = 0
        self.parent_gone = 0

    def lose(self) -> None:
        self.lost += 1

    def miss_parent(self) -> None:
        self.parent_gone += 1


@contextmanager
def link() -> Iterator[tuple[ParentLink, socket.socket, Worker]]:
    ours, theirs = socket.socketpair()
    worker = Worker()
    made = ParentLink(ours, take=worker.taken.append, lost=worker.lose, gone=worker.miss_parent)
    made.open()
    with ours, theirs:
        yield made, theirs, worker
        made.close()
    for connection in worker.taken:
        connection.close()


async def test_connections_are_taken_and_not_inherited_by_children() -> None:
    with link() as (_made, theirs, worker):
        ends = [socket.socketpair() for _ in range(100)]
        for given, _ in ends:
            socket.send_fds(theirs, [PASS], [given.fileno()])
            given.close()
        await wait_until(lambda: len(worker.taken) == 100, "all are taken")
        assert not any(connection.get_inheritable() for connection in worker.taken)
        worker.taken[99].send(b"x")
        assert ends[99][1].recv(1) == b"x"
        for _, client in ends:
            client.close()


async def test_connection_that_came_to_nothing_is_counted() -> None:
    with link() as (_made, theirs, worker):
        theirs.send(PASS)  # as it comes where no file can be opened
        await wait_until(lambda: worker.lost == 1, "it is counted")


async def test_end_unasked_is_the_parents_end() -> None:
    with link() as (made, theirs, worker):
        theirs.close()
        await wait_until(lambda: worker.parent_gone == 1, "it is told")
        await made.finish()  # and nobody is waited for


async def test_finishing_takes_what_is_on_its_way() -> None:
    with link() as (made, theirs, worker):
        finishing = asyncio.ensure_future(made.finish())
        await asyncio.sleep(0)
        assert ReportReader().feed(theirs.recv(1000)) == [Stopping()]
        given, client = socket.socketpair()
        socket.send_fds(theirs, [PASS], [given.fileno()])
        theirs.shutdown(socket.SHUT_WR)
        await finishing
        assert len(worker.taken) == 1
        assert worker.parent_gone == 0
        given.close()
        client.close()


async def test_reports_wait_for_a_parent_that_does_not_read_and_become_one() -> None:
    with link() as (made, theirs, _worker):
        made.tell(WorkerReady())
        for _ in range(100_000):
            made.tell_closed(1)
        reader, found = ReportReader(), []
        theirs.setblocking(False)

        def total() -> int:
            with suppress(BlockingIOError):
                found.extend(reader.feed(theirs.recv(1 << 16)))
            return sum(report.count for report in found if isinstance(report, Closed))

        await wait_until(lambda: total() >= 100_000, "all are told")
        assert total() == 100_000
        assert found[0] == WorkerReady()
        assert len(found) < 50_000


async def test_nothing_is_told_before_it_opens() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        made = ParentLink(ours, take=lambda _: None, lost=lambda: None, gone=lambda: None)
        made.tell(WorkerReady())
        await made.finish()
        made.close()
        theirs.setblocking(False)
        made.open()
        made.tell(WorkerReady())
        made.close()
        assert theirs.recv(100) == b"ready\n"
