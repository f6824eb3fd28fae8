"""Several acceptors as real processes, before workers that only keep what they are given."""

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

from tests.support.played_workers import PlayedWorker
from tests.support.timing import LIMIT_S, wait_until
from zmqio.exceptions import ServeError
from zmqio.ids import make_engine_sid
from zmqio.launcher.accept.acceptor_pool import AcceptorPool
from zmqio.launcher.listener import Listener, listen_group
from zmqio.launcher.options import ServeOptions
from zmqio.launcher.restarts import MOST_ENDS_UNREADY

Logs = list[Any]


class Host:
    """Two acceptors.

    Attributes:
        logs: what was logged.
        keeping: ends with an error.
    """

    def __init__(self, logs: Logs, **options: Any) -> None:
        listeners = listen_group(Listener(host="127.0.0.1"), 2)
        self.logs = logs
        self.address = listeners[0].getsockname()
        self.front = AcceptorPool(ServeOptions("chat:app", workers=2, log_level="error", **options), listeners)
        self.keeping = asyncio.ensure_future(self.front.keep())
        self.workers: list[PlayedWorker] = []

    def add(self, slot: int, tag: str) -> Any:
        self.workers.append(PlayedWorker(slot, tag))
        front_sees: Any = self.workers[-1]
        self.front.add(front_sees)
        return self.workers[-1]

    def lines(self, event: str) -> Logs:
        return [line for line in self.logs if line["event"] == event]

    async def given(self, worker: PlayedWorker, count: int, *, new: bool = True) -> None:
        """Make that many connections, and wait until they reach the worker over its links."""
        for _ in range(count):
            with socket.create_connection(self.address) as client:
                query = "" if new else f"?sid={make_engine_sid(worker.tag)}"
                client.sendall(f"GET /{query} HTTP/1.1\r\n\r\n".encode())
                await wait_until(
                    lambda: any(worker.receives(link)() for link in worker.given), f"it reaches {worker.tag}"
                )


@asynccontextmanager
async def host(**options: Any) -> AsyncIterator[Host]:
    with capture_logs() as logs:
        made = Host(logs, **options)
        try:
            yield made
        finally:
            made.keeping.cancel()
            await asyncio.gather(made.keeping, return_exceptions=True)
            await made.front.stop()
            for worker in made.workers:
                worker.close()


async def test_every_acceptor_is_linked_to_every_worker_and_counts_are_summed() -> None:
    async with host() as h:
        before = h.add(1, "one1")
        await h.front.ready()
        after = h.add(2, "two2")
        assert len(h.lines("acceptor_ready")) == 2
        assert len(before.given) == len(after.given) == 2
        for worker in (before, after):
            await h.given(worker, 8, new=False)
        h.front.close()
        with pytest.raises(ConnectionRefusedError):
            for _ in range(1_000):  # until both have heard it
                with contextlib.suppress(ConnectionResetError):  # it met the end of the socket
                    socket.create_connection(h.address).close()
                await asyncio.sleep(0.01)
        h.keeping.cancel()
        await h.front.stop()
        assert h.front.counters["handed_over"] == 16
        assert not h.lines("acceptor_ended")


async def test_retired_and_removed_workers_are_told_to_all() -> None:
    async with host() as h:
        await h.front.ready()
        old, new = h.add(1, "old1"), h.add(1, "new1")
        h.front.retire(old)
        await h.given(new, 8)
        await h.given(old, 4, new=False)
        h.front.remove(old)
        for link in old.given:
            link.setblocking(True)
            link.settimeout(LIMIT_S)
            assert link.recv(1) == b""  # nothing more comes


async def test_acceptor_that_is_killed_is_followed_by_one_that_knows_what_it_knew() -> None:
    async with host() as h:
        retired, worker = h.add(1, "ret1"), h.add(2, "two2")
        h.front.retire(retired)
        await h.front.ready()
        psutil.Process(h.lines("acceptor_ready")[0]["pid"]).kill()
        await h.given(worker, 8)  # half of them wait for the next one, in the socket that stays open
        await h.given(retired, 4, new=False)
        (ended,) = h.lines("acceptor_ended")
        assert ended["ending"] == f"killed by {signal.SIGKILL.name}"
        assert len(h.lines("acceptor_ready")) == 3
        assert len(worker.given) == 3


async def test_link_that_is_lost_is_made_again_while_the_worker_lives() -> None:
    async with host() as h:
        dead, worker = h.add(1, "one1"), h.add(2, "two2")
        await h.front.ready()
        dead.takes = False
        for end in (*dead.given, *worker.given):
            end.close()
        await wait_until(lambda: len(worker.given) == 4, "there are new ones")
        worker.given = worker.given[2:]
        await h.given(worker, 4, new=False)


async def test_acceptors_that_end_again_and_again_end_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    monkeypatch.setenv("PYTHONHOME", "/nowhere")  # no Python starts
    async with host() as h:
        with pytest.raises(ServeError, match=r"giving up: acceptor \d ends again and again; the last time: exit"):
            await asyncio.wait_for(h.keeping, LIMIT_S)
        assert len(h.lines("acceptor_ended")) >= MOST_ENDS_UNREADY


async def test_acceptor_that_cannot_end_is_killed_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zmqio.launcher.accept.acceptor_pool.STOP_LIMIT_S", 0.0)
    async with host() as h:
        await h.front.ready()
        h.keeping.cancel()
        await h.front.stop()
        assert len(h.lines("acceptor_killed")) == 2
