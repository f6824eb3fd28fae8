"""Coroutines that become a task only when they have to wait."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest

from tests.support.timing import LIMIT_S
from zmqio.engine.eager import begin, run_eagerly


def _spawn(coroutine: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
    return asyncio.get_running_loop().create_task(coroutine)


async def test_what_never_waits_is_done_at_once_without_a_task() -> None:
    done: list[str] = []

    async def work() -> None:
        done.append("done")

    assert run_eagerly(work(), _spawn) is None
    assert done == ["done"]


async def test_coroutine_that_waits_continues_in_a_task() -> None:
    steps: list[str] = []
    gate, second = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        steps.append("begun")
        await gate.wait()
        steps.append("middle")
        await second.wait()
        steps.append("done")

    task = run_eagerly(work(), _spawn)
    assert task is not None
    assert steps == ["begun"]
    gate.set()
    second.set()
    async with asyncio.timeout(LIMIT_S):
        await task
    assert steps == ["begun", "middle", "done"]


async def test_error_before_the_first_wait_is_raised_to_the_caller() -> None:
    async def work() -> None:
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        run_eagerly(work(), _spawn)


async def test_error_after_a_wait_is_the_tasks() -> None:
    async def work() -> None:
        await asyncio.sleep(0)
        raise OSError("gone")

    task = run_eagerly(work(), _spawn)
    assert task is not None
    with pytest.raises(OSError, match="gone"):
        await task


async def test_cancelling_reaches_the_place_where_it_waits() -> None:
    cleaned: list[str] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            cleaned.append("cleaned")

    task = run_eagerly(work(), _spawn)
    assert task is not None
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert cleaned == ["cleaned"]


async def test_failed_future_is_thrown_into_the_coroutine() -> None:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    seen: list[BaseException] = []

    async def work() -> None:
        try:
            await future
        except OSError as error:
            seen.append(error)

    task = run_eagerly(work(), _spawn)
    assert task is not None
    future.set_exception(OSError("gone"))
    await task
    assert len(seen) == 1


async def test_begun_coroutine_continues_in_its_task_within_a_time_limit() -> None:
    steps: list[Any] = []

    async def work() -> None:
        steps.append(asyncio.current_task())
        try:
            await asyncio.Event().wait()
        finally:
            steps.append(asyncio.current_task())

    rest = begin(work())
    assert rest is not None
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await rest
    assert steps == [asyncio.current_task()] * 2


async def test_begun_coroutine_that_never_waits_has_finished() -> None:
    async def work() -> None: ...

    assert begin(work()) is None
