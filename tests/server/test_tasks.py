"""`Tasks`: running, closing, and errors."""

import asyncio

from structlog.testing import capture_logs

from zmqio.server.tasks import Tasks


async def test_close_waits_for_running_tasks() -> None:
    tasks, done = Tasks(), []

    async def work() -> None:
        await asyncio.sleep(0)
        done.append(1)

    tasks.spawn(work())
    await tasks.close(10)
    assert done == [1]
    assert len(tasks) == 0


async def test_close_cancels_and_logs_tasks_that_do_not_end() -> None:
    tasks = Tasks()
    task = tasks.spawn(asyncio.sleep(1000))
    with capture_logs() as logs:
        await tasks.close(0.01)
    assert task.cancelled()
    assert logs[0]["event"] == "handlers_cancelled"
    assert logs[0]["count"] == 1


async def test_cancelled_tasks_are_not_waited_for() -> None:
    tasks = Tasks()
    task = tasks.spawn(asyncio.sleep(1000))
    tasks.cancel()
    with capture_logs() as logs:
        await tasks.close(10)
    assert (task.cancelled(), logs) == (True, [])


async def test_error_is_logged_once_and_affects_only_its_task() -> None:
    tasks = Tasks()

    async def fail() -> None:
        raise RuntimeError("broken")

    with capture_logs() as logs:
        tasks.spawn(fail())
        await tasks.close(10)
        await asyncio.sleep(0)
    assert [entry["event"] for entry in logs] == ["task_failed"]


async def test_task_may_close_its_own_set() -> None:
    tasks = Tasks()
    await tasks.spawn(tasks.close(10))


async def test_a_task_that_cancels_all_goes_on_itself() -> None:
    tasks, ended = Tasks(), []

    async def cancel() -> None:
        tasks.cancel()
        await asyncio.sleep(0)
        ended.append("canceller")

    waiting = tasks.spawn(asyncio.Event().wait())
    await tasks.spawn(cancel())
    assert ended == ["canceller"]
    assert waiting.cancelled()


async def test_reporting_task_is_kept_until_it_reports_its_end() -> None:
    tasks, gate = Tasks(asyncio.get_running_loop()), asyncio.Event()

    async def work() -> None:
        await gate.wait()
        tasks.report_end(task)

    task = tasks.spawn_reporting(work())
    assert len(tasks) == 1
    gate.set()
    await task
    assert len(tasks) == 0


async def test_reporting_task_that_was_cancelled_before_it_began_does_not_delay_the_close() -> None:
    tasks = Tasks()
    work = asyncio.sleep(1000)
    tasks.spawn_reporting(work)
    tasks.cancel()
    with capture_logs() as logs:
        await tasks.close(10)
        await tasks.close(10)
    assert (len(tasks), logs) == (0, [])
