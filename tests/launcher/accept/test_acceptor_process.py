"""A real acceptor process, seen from its supervisor."""

import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psutil

from tests.support.timing import LIMIT_S, wait_until
from zmqio.ids import NodeTag
from zmqio.launcher.accept.acceptor_messages import Add, Close
from zmqio.launcher.accept.acceptor_process import AcceptorProcess
from zmqio.launcher.listener import Listener, listen
from zmqio.launcher.worker.spec import AcceptorSpec

TAG = NodeTag("tag1")


class Watcher:
    """Notes what it hears, in order."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def is_ready(self, _: AcceptorProcess) -> None:
        self.heard.append("ready")

    def has_lost(self, _: AcceptorProcess, tag: NodeTag) -> None:
        self.heard.append(f"lost {tag}")


@asynccontextmanager
async def started() -> AsyncIterator[tuple[AcceptorProcess, Watcher, socket.socket]]:
    watcher = Watcher()
    with listen(Listener(host="127.0.0.1")) as listener:
        acceptor = await AcceptorProcess.start(
            watcher,
            listener,
            lambda listener_fd, link_fd: AcceptorSpec(3, listener_fd, link_fd, log_level="error"),
        )
        try:
            yield acceptor, watcher, listener
        finally:
            await acceptor.stop(LIMIT_S)


async def test_life_of_an_acceptor() -> None:
    async with started() as (acceptor, watcher, listener):
        assert acceptor.number == 3
        theirs, ours = socket.socketpair()
        acceptor.order(Add(1, TAG), theirs)
        ours.settimeout(LIMIT_S)
        with ours, socket.create_connection(listener.getsockname()) as client:
            client.sendall(b"GET / HTTP/1.1\r\n\r\n")
            _, fds, _, _ = socket.recv_fds(ours, 1, 1)
            with socket.socket(fileno=fds[0]) as connection:
                assert connection.recv(100) == b"GET / HTTP/1.1\r\n\r\n"
        await wait_until(lambda: len(watcher.heard) == 2, "it tells")
        assert watcher.heard == ["ready", "lost tag1"]
        assert acceptor.was_ready
        acceptor.order(Close())
        assert await acceptor.stop(LIMIT_S)
        assert acceptor.counters == {"accepted": 1, "handed_over": 1}
        assert acceptor.ending == "exit code 0"


async def test_acceptor_that_is_killed_has_counted_nothing() -> None:
    async with started() as (acceptor, _, _listener):
        psutil.Process(acceptor.pid).kill()
        await wait_until(acceptor.ended.is_set, "its end")
        assert acceptor.ending == f"killed by {signal.SIGKILL.name}"
        assert acceptor.counters == {}
        acceptor.order(Close())  # nobody is there any more


async def test_stopped_process_can_be_ended_too() -> None:
    async with started() as (acceptor, _, _listener):
        await wait_until(lambda: acceptor.was_ready, "it is ready")
        psutil.Process(acceptor.pid).suspend()
        assert await acceptor.stop(LIMIT_S)
