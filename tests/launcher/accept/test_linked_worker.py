"""A worker as an acceptor sees it, with a plain socket as the worker."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.timing import wait_until
from zmqio.ids import NodeTag
from zmqio.launcher.accept.linked_worker import LinkedWorker
from zmqio.launcher.worker.messages import FD_MARKER, ConnectionsClosed, WorkerStopping, encode_worker_message


class Observer:
    """Records notifications in order."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def worker_stopping(self, _: LinkedWorker) -> None:
        self.events.append("stopping")

    def worker_link_ended(self, _: LinkedWorker) -> None:
        self.events.append("exited")


@contextmanager
def linked() -> Iterator[tuple[LinkedWorker, socket.socket, Observer]]:
    ours, theirs = socket.socketpair()
    observer = Observer()
    worker = LinkedWorker(2, NodeTag("tag2"), ours, observer)
    with theirs:
        yield worker, theirs, observer
    worker.close()


async def test_open_connections_are_counted() -> None:
    with linked() as (worker, theirs, _):
        for _ in range(3):
            passed, client = socket.socketpair()
            client.close()
            assert worker.pass_socket(passed)
        assert worker.connections == 3
        theirs.sendall(encode_worker_message(ConnectionsClosed(2)))
        await wait_until(lambda: worker.connections == 1, "two to be closed")


async def test_stopping_worker_gets_the_connections_sent_before_but_no_more() -> None:
    with linked() as (worker, theirs, observer):
        passed, client = socket.socketpair()
        worker.pass_socket(passed)
        theirs.sendall(encode_worker_message(WorkerStopping()))
        await wait_until(lambda: worker.is_leaving, "the message")
        late, other = socket.socketpair()
        with client, late, other:
            assert not worker.pass_socket(late)
        data, fds, _, _ = socket.recv_fds(theirs, 1, 1)
        assert data == FD_MARKER
        socket.socket(fileno=fds[0]).close()
        assert theirs.recv(1) == b""
        theirs.close()
        await wait_until(lambda: "exited" in observer.events, "its exit")
        assert observer.events == ["stopping", "exited"]


async def test_dead_worker_is_reported_once_and_its_queued_connections_are_closed() -> None:
    with linked() as (worker, theirs, observer):
        clients = []
        for _ in range(1_000):  # more than the socket buffers
            passed, client = socket.socketpair()
            worker.pass_socket(passed)
            clients.append(client)
        theirs.close()
        await wait_until(lambda: observer.events, "its exit")
        assert observer.events == ["exited"]
        assert worker.broken
        assert not worker.is_leaving
        assert clients[-1].recv(1) == b""
        for client in clients:
            client.close()
