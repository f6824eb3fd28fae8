"""A worker as an acceptor sees it, against a plain socket."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.timing import wait_until
from zmqio.ids import NodeTag
from zmqio.launcher.accept.linked_worker import LinkedWorker
from zmqio.launcher.worker.messages import PASS, Closed, Stopping, encode


class Watcher:
    """Notes what it hears, in order."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def takes_no_more(self, _: LinkedWorker) -> None:
        self.heard.append("no more")

    def has_ended(self, _: LinkedWorker) -> None:
        self.heard.append("ended")


@contextmanager
def linked() -> Iterator[tuple[LinkedWorker, socket.socket, Watcher]]:
    ours, theirs = socket.socketpair()
    watcher = Watcher()
    worker = LinkedWorker(2, NodeTag("tag2"), ours, watcher)
    with theirs:
        yield worker, theirs, watcher
    worker.close()


async def test_connections_that_it_still_has_are_counted() -> None:
    with linked() as (worker, theirs, _):
        for _ in range(3):
            given, client = socket.socketpair()
            client.close()
            assert worker.give(given)
        assert worker.connections == 3
        theirs.sendall(encode(Closed(2)))
        await wait_until(lambda: worker.connections == 1, "two have ended")


async def test_worker_that_stops_gets_no_more_and_what_it_was_given_before_its_end() -> None:
    with linked() as (worker, theirs, watcher):
        given, client = socket.socketpair()
        worker.give(given)
        theirs.sendall(encode(Stopping()))
        await wait_until(lambda: worker.leaves, "it is heard")
        late, other = socket.socketpair()
        with client, late, other:
            assert not worker.give(late)
        data, fds, _, _ = socket.recv_fds(theirs, 1, 1)
        assert data == PASS
        socket.socket(fileno=fds[0]).close()
        assert theirs.recv(1) == b""
        theirs.close()
        await wait_until(lambda: "ended" in watcher.heard, "its end")
        assert watcher.heard == ["no more", "ended"]


async def test_worker_that_is_gone_is_told_once_and_what_waits_for_it_is_closed() -> None:
    with linked() as (worker, theirs, watcher):
        clients = []
        for _ in range(1_000):  # more than fit into the socket
            given, client = socket.socketpair()
            worker.give(given)
            clients.append(client)
        theirs.close()
        await wait_until(lambda: watcher.heard, "its end")
        assert watcher.heard == ["ended"]
        assert worker.broken
        assert not worker.leaves
        assert clients[-1].recv(1) == b""
        for client in clients:
            client.close()
