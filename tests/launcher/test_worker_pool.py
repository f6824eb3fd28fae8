"""The worker pool with real processes."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.support.cluster import ROOT
from tests.support.timing import LIMIT_S, wait_until
from zmqio.exceptions import ServeError
from zmqio.launcher.metrics.serve_metrics import ServeMetrics
from zmqio.launcher.options import ServeOptions
from zmqio.launcher.worker.process import WorkerProcess
from zmqio.launcher.worker_pool import WorkerPool

NO_BROKER = "ipc:///tmp/zmqio-no-broker-is-here"


class Dispatcher:
    """Records the calls of a worker pool: the part of `ConnectionDispatcher` that it uses.

    Attributes:
        workers: the available ones.
        calls: in order.
    """

    def __init__(self) -> None:
        self.workers: list[WorkerProcess] = []
        self.calls: list[tuple[str, int]] = []

    def add(self, worker: WorkerProcess) -> None:
        self.calls.append(("add", worker.slot))
        self.workers.append(worker)

    def retire(self, worker: WorkerProcess) -> None:
        self.calls.append(("retire", worker.slot))

    def suspend(self, worker: WorkerProcess) -> None:
        self.calls.append(("suspend", worker.slot))

    def resume(self, worker: WorkerProcess) -> None:
        self.calls.append(("resume", worker.slot))

    def remove(self, worker: WorkerProcess) -> None:
        if worker in self.workers:
            self.calls.append(("remove", worker.slot))
            self.workers.remove(worker)


def make(options: ServeOptions, folder: Path = ROOT) -> tuple[WorkerPool, Dispatcher]:
    dispatcher: Any = Dispatcher()
    metrics = ServeMetrics(4, dict, asyncio.get_running_loop().time)
    return WorkerPool(options, NO_BROKER, str(folder), dispatcher, metrics), dispatcher


async def test_dispatcher_learns_of_ready_retired_and_stopping_workers() -> None:
    pool, dispatcher = make(ServeOptions("tests.support.serve_app:app", node_tag="x-", log_level="error"))
    try:
        workers = [await pool.start(slot) for slot in (1, 2)]
        assert not dispatcher.workers
        await pool.wait_first_ready()
        assert dispatcher.workers
        await wait_until(lambda: all(worker.ready_or_exited.is_set() for worker in workers), "both to be ready")
        assert set(dispatcher.workers) == set(workers)
        assert [worker.tag[:2] for worker in workers] == ["x-", "x-"]
        assert workers[0].tag != workers[1].tag
        workers[0].retire()
    finally:
        await pool.stop()
    assert dispatcher.workers == []
    assert sorted(dispatcher.calls[:2]) == [("add", 1), ("add", 2)]
    assert dispatcher.calls[2] == ("retire", 1)
    assert sorted(dispatcher.calls[3:]) == [("remove", 1), ("remove", 2)]
    assert all(worker.exited.is_set() for worker in workers)


async def test_app_that_cannot_be_served_fails_the_first_wait_and_its_traceback_is_printed_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "broken_app.py").write_text("1 / 0")
    pool, _ = make(ServeOptions("broken_app:app", log_level="error"), tmp_path)
    try:
        workers = [await pool.start(slot) for slot in (1, 2)]
        with pytest.raises(ServeError, match="cannot import app 'broken_app:app': ZeroDivisionError"):
            await pool.wait_first_ready()
        await wait_until(lambda: all(worker.exited.is_set() for worker in workers), "both to exit")
    finally:
        await pool.stop()
    assert capsys.readouterr().err.count("Traceback") == 1


async def test_later_failures_and_those_with_reload_are_only_logged(tmp_path: Path) -> None:
    (tmp_path / "broken_app.py").write_text("1 / 0")
    pool, _ = make(ServeOptions("broken_app:app", reload=True, log_level="error"), tmp_path)
    with capture_logs() as logs:
        try:
            worker = await pool.start(1)
            await wait_until(worker.exited.is_set, "its exit")
        finally:
            await pool.stop()
    assert [line["reason"] for line in logs if line["event"] == "worker_failed"]


async def test_kill_ends_a_worker_without_its_drain() -> None:
    pool, _ = make(ServeOptions("tests.support.serve_app:app", drain_s=LIMIT_S, log_level="error"))
    worker = await pool.start(1)
    pool.kill()
    await wait_until(worker.exited.is_set, "its exit")
    await pool.stop()
    assert worker.exit_status == "killed by SIGKILL"


@asynccontextmanager
async def watched(**options: Any) -> AsyncIterator[tuple[WorkerProcess, Dispatcher, list[Any]]]:
    """A ready worker of a pool that watches it, its dispatcher, and the log."""
    pool, dispatcher = make(ServeOptions("tests.support.serve_app:app", log_level="error", **options))
    with capture_logs() as logs:
        watching = asyncio.ensure_future(pool.watch())
        worker = await pool.start(1)
        try:
            await wait_until(worker.ready_or_exited.is_set, "it to be ready")
            yield worker, dispatcher, logs
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
            await pool.stop()


async def test_stopped_worker_is_suspended_until_it_continues() -> None:
    async with watched(worker_timeout_s=0) as (worker, dispatcher, logs):
        worker.send_signal(signal.SIGSTOP)
        await wait_until(lambda: dispatcher.calls[-1] == ("suspend", 1), "its suspension")
        worker.send_signal(signal.SIGCONT)
        await wait_until(lambda: dispatcher.calls[-1] == ("resume", 1), "its return")
        stalls = len(dispatcher.calls) // 2  # more than one, if other processes have kept it from running
        assert dispatcher.calls == [("add", 1), *[("suspend", 1), ("resume", 1)] * stalls]
        assert [line["event"] for line in logs][1:] == ["worker_stalled", "worker_recovered"] * stalls


async def test_worker_that_stays_silent_is_killed_but_never_with_reload() -> None:
    async with watched(worker_timeout_s=2.5) as (worker, dispatcher, logs):
        worker.send_signal(signal.SIGSTOP)
        await wait_until(worker.exited.is_set, "its end")
        assert worker.exit_status == "killed by SIGKILL"
        assert dispatcher.calls[-2:] == [("suspend", 1), ("remove", 1)]
        assert [line["event"] for line in logs][-2:] == ["worker_stalled", "worker_timed_out"]
    async with watched(worker_timeout_s=2.5, reload=True) as (worker, _, _):
        worker.send_signal(signal.SIGSTOP)
        await wait_until(lambda: worker.silent_s > 3, "a long silence")
        assert not worker.exited.is_set()
