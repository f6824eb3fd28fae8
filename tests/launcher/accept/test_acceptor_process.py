"""A real acceptor process as its supervisor sees it."""

import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psutil

from tests.support.timing import LIMIT_S, wait_until
from zmqio.ids import NodeTag
from zmqio.launcher.accept.acceptor_messages import AddWorker, StopAccepting
from zmqio.launcher.accept.acceptor_process import AcceptorProcess
from zmqio.launcher.listener import BindAddress, listen
from zmqio.launcher.silence import CHECK_INTERVAL_S
from zmqio.launcher.worker.spec import AcceptorSpec

TAG = NodeTag("tag1")


class Observer:
    """Records notifications in order."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def acceptor_ready(self, _: AcceptorProcess) -> None:
        self.events.append("ready")

    def worker_link_lost(self, _: AcceptorProcess, tag: NodeTag) -> None:
        self.events.append(f"lost {tag}")


@asynccontextmanager
async def started() -> AsyncIterator[tuple[AcceptorProcess, Observer, socket.socket]]:
    observer = Observer()
    with listen(BindAddress(host="127.0.0.1")) as listener:
        acceptor = await AcceptorProcess.start(
            observer,
            listener,
            lambda listener_fd, link_fd: AcceptorSpec(3, listener_fd, link_fd, log_level="error"),
        )
        try:
            yield acceptor, observer, listener
        finally:
            await acceptor.stop(LIMIT_S)


async def test_acceptor_passes_connections_reports_lost_links_and_stops() -> None:
    async with started() as (acceptor, observer, listener):
        assert acceptor.number == 3
        theirs, ours = socket.socketpair()
        acceptor.send(AddWorker(1, TAG), theirs)
        ours.settimeout(LIMIT_S)
        with ours, socket.create_connection(listener.getsockname()) as client:
            client.sendall(b"GET / HTTP/1.1\r\n\r\n")
            _, fds, _, _ = socket.recv_fds(ours, 1, 1)
            with socket.socket(fileno=fds[0]) as connection:
                assert connection.recv(100) == b"GET / HTTP/1.1\r\n\r\n"
        await wait_until(lambda: len(observer.events) == 2, "both messages")
        assert observer.events == ["ready", "lost tag1"]
        assert acceptor.was_ready
        acceptor.send(StopAccepting())
        assert await acceptor.stop(LIMIT_S)
        assert acceptor.counters == {"connections_accepted": 1, "connections_passed": 1}
        assert acceptor.exit_status == "exit code 0"


async def test_killed_acceptor_has_no_counters() -> None:
    async with started() as (acceptor, _, _listener):
        psutil.Process(acceptor.pid).kill()
        await wait_until(acceptor.exited.is_set, "its exit")
        assert acceptor.exit_status == f"killed by {signal.SIGKILL.name}"
        assert acceptor.counters == {}
        acceptor.send(StopAccepting())  # the process has exited


async def test_silence_is_counted_from_the_last_heartbeat() -> None:
    async with started() as (acceptor, _, _listener):
        acceptor.check()
        assert acceptor.silent_s == 0  # heartbeats begin when it is ready
        await wait_until(lambda: acceptor.was_ready, "it to be ready")
        acceptor.check()
        acceptor.check()
        assert acceptor.silent_s == 2 * CHECK_INTERVAL_S
        await wait_until(lambda: acceptor.silent_s == 0, "a heartbeat")
        acceptor.kill()
        await wait_until(acceptor.exited.is_set, "its exit")


async def test_suspended_acceptor_can_be_stopped() -> None:
    async with started() as (acceptor, _, _listener):
        await wait_until(lambda: acceptor.was_ready, "it to be ready")
        psutil.Process(acceptor.pid).suspend()
        assert await acceptor.stop(LIMIT_S)
