"""Several acceptors as real processes, with workers that only keep their sockets."""

import asyncio
import contextlib
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psutil
import pytest
from structlog.testing import capture_logs

from tests.support.fake_workers import FakeWorker
from tests.support.timing import LIMIT_S, wait_until
from zmqio.exceptions import ServeError
from zmqio.ids import make_engine_sid
from zmqio.launcher.accept.acceptor_pool import AcceptorPool
from zmqio.launcher.listener import BindAddress, listen_group
from zmqio.launcher.options import ServeOptions
from zmqio.launcher.restarts import MAX_FAILED_STARTS

Logs = list[Any]


class Host:
    """Two acceptors.

    Attributes:
        logs: the log lines.
        running: the running pool; fails with its error.
    """

    def __init__(self, logs: Logs, **options: Any) -> None:
        listeners = listen_group(BindAddress(host="127.0.0.1"), 2)
        self.logs = logs
        self.address = listeners[0].getsockname()
        self.pool = AcceptorPool(ServeOptions("chat:app", workers=2, log_level="error", **options), listeners)
        self.running = asyncio.ensure_future(self.pool.run())
        self.workers: list[FakeWorker] = []

    def add(self, slot: int, tag: str) -> Any:
        self.workers.append(FakeWorker(slot, tag))
        worker: Any = self.workers[-1]
        self.pool.add(worker)
        return self.workers[-1]

    def lines(self, event: str) -> Logs:
        return [line for line in self.logs if line["event"] == event]

    async def deliver(self, worker: FakeWorker, count: int, *, new: bool = True) -> None:
        """Open `count` connections, each of which must reach the worker over one of its links."""
        for _ in range(count):
            with socket.create_connection(self.address) as client:
                query = "" if new else f"?sid={make_engine_sid(worker.tag)}"
                client.sendall(f"GET /{query} HTTP/1.1\r\n\r\n".encode())
                await wait_until(
                    lambda: any(worker.receives(link)() for link in worker.received),
                    f"a connection at {worker.tag}",
                )


@asynccontextmanager
async def host(**options: Any) -> AsyncIterator[Host]:
    with capture_logs() as logs:
        made = Host(logs, **options)
        try:
            yield made
        finally:
            made.running.cancel()
            await asyncio.gather(made.running, return_exceptions=True)
            await made.pool.stop()
            for worker in made.workers:
                worker.close()


async def test_every_acceptor_is_linked_to_every_worker_and_counters_are_summed() -> None:
    async with host() as h:
        before = h.add(1, "one1")
        await h.pool.wait_ready()
        after = h.add(2, "two2")
        assert len(h.lines("acceptor_started")) == 2
        assert len(before.received) == len(after.received) == 2
        for worker in (before, after):
            await h.deliver(worker, 8, new=False)
        h.pool.close()
        with pytest.raises(ConnectionRefusedError):
            for _ in range(int(LIMIT_S * 100)):  # until both have handled the message
                with contextlib.suppress(ConnectionResetError):  # accepted just before the socket was closed
                    socket.create_connection(h.address).close()
                await asyncio.sleep(0.01)
        h.running.cancel()
        await h.pool.stop()
        assert h.pool.counters["connections_passed"] == 16
        assert not h.lines("acceptor_exited")


async def test_all_acceptors_learn_of_retired_and_removed_workers() -> None:
    async with host() as h:
        await h.pool.wait_ready()
        old, new = h.add(1, "old1"), h.add(1, "new1")
        h.pool.retire(old)
        await h.deliver(new, 8)
        await h.deliver(old, 4, new=False)
        h.pool.remove(old)
        for link in old.received:
            link.setblocking(True)
            link.settimeout(LIMIT_S)
            assert link.recv(1) == b""  # no further connections


async def test_killed_acceptor_is_replaced_by_one_with_the_same_workers() -> None:
    async with host() as h:
        retired, worker = h.add(1, "ret1"), h.add(2, "two2")
        h.pool.retire(retired)
        await h.pool.wait_ready()
        psutil.Process(h.lines("acceptor_started")[0]["pid"]).kill()
        await h.deliver(worker, 8)  # half of them wait for the successor in the socket that stays open
        await h.deliver(retired, 4, new=False)
        await wait_until(lambda: len(h.lines("acceptor_started")) == 3, "the successor")
        (ended,) = h.lines("acceptor_exited")
        assert ended["exit_status"] == f"killed by {signal.SIGKILL.name}"
        assert len(worker.received) == 3


async def test_stopped_acceptor_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zmqio.launcher.accept.acceptor_pool.ACCEPTOR_TIMEOUT_S", 2.0)
    async with host() as h:
        worker = h.add(1, "one1")
        await h.pool.wait_ready()
        stopped = h.lines("acceptor_started")[0]
        psutil.Process(stopped["pid"]).suspend()
        await h.deliver(worker, 8)  # half of them wait for the successor
        await wait_until(
            lambda: stopped["pid"] in [line["pid"] for line in h.lines("acceptor_timed_out")], "its line"
        )


async def test_suspended_worker_is_suspended_for_later_acceptors_too() -> None:
    async with host() as h:
        stalled, worker = h.add(1, "sta1"), h.add(2, "two2")
        await h.pool.wait_ready()
        h.pool.suspend(stalled)
        await h.deliver(worker, 4)
        psutil.Process(h.lines("acceptor_started")[0]["pid"]).kill()
        await wait_until(lambda: len(h.lines("acceptor_started")) == 3, "its successor")
        await h.deliver(worker, 8)
        h.pool.resume(stalled)
        await h.deliver(stalled, 4, new=False)


async def test_lost_link_is_created_again_while_the_worker_runs() -> None:
    async with host() as h:
        dead, worker = h.add(1, "one1"), h.add(2, "two2")
        await h.pool.wait_ready()
        dead.accepts = False
        for end in (*dead.received, *worker.received):
            end.close()
        await wait_until(lambda: len(worker.received) == 4, "new links")
        worker.received = worker.received[2:]
        await h.deliver(worker, 4, new=False)


async def test_acceptors_that_keep_exiting_end_the_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    monkeypatch.setenv("PYTHONHOME", "/nowhere")  # no Python starts
    async with host() as h:
        with pytest.raises(ServeError, match=r"giving up: acceptor \d keeps exiting; last time: exit"):
            await asyncio.wait_for(h.running, LIMIT_S)
        assert len(h.lines("acceptor_exited")) >= MAX_FAILED_STARTS


async def test_acceptor_that_does_not_exit_in_time_is_killed_and_logged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zmqio.launcher.accept.acceptor_pool.STOP_TIMEOUT_S", 0.0)
    async with host() as h:
        await h.pool.wait_ready()
        h.running.cancel()
        await h.pool.stop()
        assert len(h.lines("acceptor_killed")) == 2
