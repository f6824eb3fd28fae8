"""Functions at start and stop, and background tasks, through a `Server`."""

import asyncio

import pytest
from structlog.testing import capture_logs

from tests.support.timing import wait_until
from zmqio.exceptions import ServerClosedError
from zmqio.server.server import Server


async def test_functions_run_at_start_in_order_and_at_stop_in_reverse() -> None:
    io = Server(adapter=None)
    called: list[str] = []

    @io.on_start
    def first() -> None:
        called.append(f"start 1 {io.running}")

    @io.on_start
    async def second() -> None:
        await io.emit("started")
        called.append("start 2")

    @io.on_stop
    def last() -> None:
        called.append("stop 1")

    @io.on_stop
    async def before_last() -> None:
        await io.emit("stopping")
        called.append("stop 2")

    async with io:
        assert called == ["start 1 True", "start 2"]
    assert called == ["start 1 True", "start 2", "stop 2", "stop 1"]
    async with io:
        assert called[4:] == ["start 1 True", "start 2"]


async def test_exception_of_a_start_function_ends_the_start() -> None:
    io = Server(adapter=None)
    ended: list[str] = []

    async def work() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            ended.append("work")

    @io.on_start
    async def fail() -> None:
        io.start_background_task(work)
        await asyncio.sleep(0)
        raise OSError("no database")

    with pytest.raises(OSError, match="no database"):
        await io.start()
    assert not io.running
    assert not io.health().ready
    assert ended == ["work"]


async def test_failed_stop_function_is_logged_and_the_others_run() -> None:
    io = Server(adapter=None)
    called: list[str] = []
    io.on_stop(lambda: called.append("other"))

    @io.on_stop
    def fail() -> None:
        raise OSError("broken")

    await io.start()
    with capture_logs() as logs:
        await io.close()
    assert called == ["other"]
    assert [line["event"] for line in logs if line["log_level"] == "error"] == ["stop_function_failed"]


async def test_stop_function_that_hangs_is_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zmqio.server.lifecycle.HANDLER_GRACE_S", 0.01)
    io = Server(adapter=None)
    io.on_stop(asyncio.Event().wait)
    await io.start()
    with capture_logs() as logs:
        await io.close()
    assert "stop_functions_cancelled" in [line["event"] for line in logs]


async def test_background_task_runs_until_the_server_closes() -> None:
    io = Server(adapter=None)
    seen: list[str] = []

    async def tick(name: str) -> None:
        try:
            while True:
                seen.append(name)
                await asyncio.sleep(0)
        finally:
            await io.emit("the node can still be used")
            seen.append("end")

    io.on_start(lambda: io.start_background_task(tick, "a"))
    async with io:
        await wait_until(lambda: len(seen) > 3, "some turns")
    assert seen[0] == "a"
    assert seen[-1] == "end"


async def test_exception_of_a_background_task_is_logged() -> None:
    async def fail() -> None:
        raise OSError("broken")

    async with Server(adapter=None) as io:
        with capture_logs() as logs:
            await io.start_background_task(fail)
    assert [line["event"] for line in logs] == ["background_task_failed"]


async def test_background_task_needs_an_async_function_and_a_server_that_is_not_closed() -> None:
    io = Server(adapter=None)
    async with io:
        with pytest.raises(TypeError, match="async function"):
            io.start_background_task(print)
    with pytest.raises(ServerClosedError):
        io.start_background_task(asyncio.sleep, 0)


@pytest.mark.parametrize("starts", [True, False])
async def test_background_task_may_begin_before_the_server_and_ends_with_it(starts: bool) -> None:
    io = Server(adapter=None)
    task = io.start_background_task(asyncio.sleep, delay=3600)
    if starts:
        await io.start()
        assert not task.done()
    await io.close()
    assert task.cancelled()


async def test_background_task_has_the_result_of_its_function() -> None:
    async with Server(adapter=None) as io:
        assert await io.start_background_task(asyncio.sleep, 0, result=7) == 7


async def test_task_that_closes_its_server_is_not_waited_for() -> None:
    io = Server(adapter=None)
    await io.start()
    await io.start_background_task(io.close)
    assert not io.running


async def test_functions_that_require_arguments_are_refused_at_once() -> None:
    io = Server(adapter=None)
    with pytest.raises(TypeError, match="start function"):
        io.on_start(lambda socket: None)
    with pytest.raises(TypeError, match="stop function"):
        io.on_stop(lambda socket: None)
