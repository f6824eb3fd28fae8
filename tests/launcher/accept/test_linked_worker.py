"""A worker as an acceptor sees it, against a plain socket."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.timing import wait_until
from zmqio.ids import NodeTag
from zmqio.launcher.accept.linked_worker import LinkedWorker
from zmqio.launcher.worker.messages import FD_MARKER, ConnectionsClosed, WorkerStopping, encode_worker_message


class Observer:
    """Notes what it hears, in order."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def worker_stopping(self, _: LinkedWorker) -> None:
        self.events.append("no more")

    def worker_link_ended(self, _: LinkedWorker) -> None:
        self.events.append("ended")


@contextmanager
def linked() -> Iterator[tuple[LinkedWorker, socket.socket, Observer]]:
    ours, theirs = socket.socketpair()
    observer = Observer()
    worker = LinkedWorker(2, NodeTag("tag2"), ours, observer)
    with theirs:
        yield worker, theirs, observer
    worker.close()


async def test_connections_that_it_still_has_are_counted() -> None:
    with linked() as (worker, theirs, _):
        for _ in range(3):
            passed, client = socket.socketpair()
            client.close()
            assert worker.pass_socket(passed)
        assert worker.connections == 3
        theirs.sendall(encode_worker_message(ConnectionsClosed(2)))
        await wait_until(lambda: worker.connections == 1, "two have ended")


async def test_worker_that_stops_gets_no_more_and_what_it_was_given_before_its_end() -> None:
    with linked() as (worker, theirs, observer):
        passed, client = socket.socketpair()
        worker.pass_socket(passed)
        theirs.sendall(encode_worker_message(WorkerStopping()))
        await wait_until(lambda: worker.is_leaving, "it is heard")
        late, other = socket.socketpair()
        with client, late, other:
            assert not worker.pass_socket(late)
        data, fds, _, _ = socket.recv_fds(theirs, 1, 1)
        assert data == FD_MARKER
        socket.socket(fileno=fds[0]).close()
        assert theirs.recv(1) == b""
        theirs.close()
        await wait_until(lambda: "ended" in observer.events, "its end")
        assert observer.events == ["no more", "ended"]


async def test_worker_that_is_gone_is_told_once_and_what_waits_for_it_is_closed() -> None:
    with linked() as (worker, theirs, observer):
        clients = []
        for _ in range(1_000):  # more than fit into the socket
            passed, client = socket.socketpair()
            worker.pass_socket(passed)
            clients.append(client)
        theirs.close()
        await wait_until(lambda: observer.events, "its end")
        assert observer.events == ["ended"]
        assert worker.broken
        assert not worker.is_leaving
        assert clients[-1].recv(1) == b""
        for client in clients:
            client.close()
