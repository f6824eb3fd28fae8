"""A slot with workers that only record the calls."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.support.timing import LIMIT_S, wait_until
from zmqio.exceptions import ServeError
from zmqio.launcher.restarts import MAX_EXITS, MAX_FAILED_STARTS
from zmqio.launcher.slot import WorkerSlot
from zmqio.launcher.worker.messages import WorkerFailed


class Worker:
    """A worker as a slot sees it."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.was_ready = False
        self.failure: WorkerFailed | None = None
        self.ready_or_exited = asyncio.Event()
        self.exited = asyncio.Event()
        self.exit_status = "killed by SIGSEGV"
        self.stopped = self.retired = False
        self.drains = asyncio.Event()
        self.drains.set()

    def get_ready(self) -> None:
        self.was_ready = True
        self.ready_or_exited.set()

    def exit(self, reason: str = "") -> None:
        self.failure = WorkerFailed(reason) if reason else None
        self.ready_or_exited.set()
        self.exited.set()

    def retire(self) -> None:
        self.retired = True

    async def stop(self, _limit_s: float) -> bool:
        self.stopped = True
        await self.drains.wait()
        self.exit()
        return True


class Starter:
    """Starts workers that become ready, exit or fail at once."""

    def __init__(self, does: str) -> None:
        self.does = does
        self.workers: list[Worker] = []

    async def __call__(self, _slot: int) -> Any:
        if self.does == "raise":
            raise ServeError("too many open files")
        worker = Worker(len(self.workers))
        self.workers.append(worker)
        if self.does in ("serve", "serve and exit"):
            worker.get_ready()
        if self.does in ("exit", "serve and exit"):
            worker.exit()
        if self.does == "fail":
            worker.exit("the app is broken")
        return worker


@asynccontextmanager
async def kept(starter: Starter, **options: Any) -> AsyncIterator[tuple[WorkerSlot, "asyncio.Task[None]"]]:
    slot = WorkerSlot(1, starter, stop_timeout_s=LIMIT_S, **options)
    task = asyncio.ensure_future(slot.supervise())
    await wait_until(lambda: starter.workers, "the first worker")
    try:
        yield slot, task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_worker_that_exits_by_itself_is_restarted() -> None:
    starter = Starter("serve")
    with capture_logs() as logs:
        async with kept(starter):
            starter.workers[0].exit()
            await wait_until(lambda: len(starter.workers) == 2, "its successor")
    assert ("worker_exited", "killed by SIGSEGV") in [(line["event"], line.get("exit_status")) for line in logs]


async def test_system_that_cannot_start_a_process_now_is_asked_again() -> None:
    starter = Starter("serve")
    with capture_logs() as logs:
        async with kept(starter) as (slot, _):
            starter.does = "raise"
            assert not await slot.replace()
            starter.workers[0].exit()
            await wait_until(lambda: len(lines(logs)) == 2, "another failed start")
            starter.does = "serve"
            await wait_until(lambda: len(starter.workers) == 2, "its successor")
    assert {line["error"] for line in lines(logs)} == {"too many open files"}


async def test_system_that_never_starts_a_process_again_ends_the_server() -> None:
    starter = Starter("serve")
    async with kept(starter) as (_slot, task):
        starter.does = "raise"
        starter.workers[0].exit()
        with pytest.raises(ServeError, match="giving up: the workers in slot 1 keep exiting"):
            await asyncio.wait_for(task, LIMIT_S)


def lines(logs: Any) -> Any:
    """The lines about failed starts."""
    return [line for line in logs if line["event"] == "worker_start_failed"]


@pytest.mark.parametrize(
    ("does", "count", "words"),
    [
        ("exit", MAX_FAILED_STARTS, "before they were ready; last time: killed by SIGSEGV"),
        ("fail", MAX_FAILED_STARTS, "last time: the app is broken"),
        ("serve and exit", MAX_EXITS, "soon after they were ready"),
    ],
)
async def test_crash_loop_ends_with_an_explanation(does: str, count: int, words: str) -> None:
    starter = Starter(does)
    async with kept(starter) as (_slot, task):
        with pytest.raises(ServeError, match=words):
            await asyncio.wait_for(task, LIMIT_S)
    assert len(starter.workers) == count


async def test_replace_stops_the_old_worker_once_the_new_one_is_ready() -> None:
    starter = Starter("serve")
    async with kept(starter) as (slot, task):
        starter.does = "wait"
        replacement = asyncio.ensure_future(slot.replace())
        await wait_until(lambda: len(starter.workers) == 2, "the new one")
        old, new = starter.workers
        assert not old.stopped
        new.get_ready()
        assert await replacement
        assert old.retired
        assert old.stopped
        assert not task.done()
        starter.does = "serve"
        new.exit()
        await wait_until(lambda: len(starter.workers) == 3, "a successor of the new one")


async def test_new_worker_that_exits_is_restarted_while_the_old_one_drains() -> None:
    starter = Starter("serve")
    async with kept(starter) as (slot, _task):
        old = starter.workers[0]
        old.drains = asyncio.Event()
        replacement = asyncio.ensure_future(slot.replace())
        await wait_until(lambda: old.stopped, "the old one drains")
        starter.workers[1].exit()
        await wait_until(lambda: len(starter.workers) == 3, "a successor of the new one")
        assert not replacement.done()
        old.drains.set()
        assert await replacement
        assert len(starter.workers) == 3


async def test_old_worker_stays_when_the_new_one_does_not_become_ready() -> None:
    starter = Starter("serve")
    async with kept(starter) as (slot, _task):
        starter.does = "fail"
        assert not await slot.replace()
        assert not starter.workers[0].stopped
        starter.does = "serve"
        assert await slot.replace()
        assert starter.workers[0].stopped


async def test_with_restart_on_change_only_a_broken_worker_stays_down_until_replaced() -> None:
    starter = Starter("fail")
    async with kept(starter, restart_on_change_only=True) as (slot, task):
        assert not await slot.replace()  # a change of the code that did not help
        starter.does = "serve"
        assert await slot.replace()
        assert not task.done()
        assert len(starter.workers) == 3
