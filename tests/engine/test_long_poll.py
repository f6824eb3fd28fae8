"""The wait of a long poll ends by release or by disconnect, without a second task."""

import asyncio
import contextlib
from typing import Any

import pytest

from tests.support.timing import LIMIT_S
from zmqio.engine.long_poll import LongPollWaiter

REQUEST = {"type": "http.request", "body": b"", "more_body": False}
GONE = {"type": "http.disconnect"}


async def _begin(waiter: LongPollWaiter, receive: Any) -> "asyncio.Task[bool]":
    task = asyncio.get_running_loop().create_task(waiter.wait(receive))
    for _ in range(5):
        await asyncio.sleep(0)
    return task


async def _end(task: "asyncio.Task[bool]") -> bool:
    async with asyncio.timeout(LIMIT_S):
        return await task


async def test_release_ends_the_wait_of_a_connected_client() -> None:
    events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    events.put_nowait(REQUEST)
    waiter = LongPollWaiter()
    task = await _begin(waiter, events.get)
    assert not task.done()
    waiter.release()
    waiter.release()
    assert await _end(task) is True


async def test_disconnect_ends_the_wait() -> None:
    events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    events.put_nowait(REQUEST)
    task = await _begin(LongPollWaiter(), events.get)
    assert not task.done()
    events.put_nowait(GONE)
    assert await _end(task) is False


async def test_release_before_the_wait_ends_it_at_once() -> None:
    events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    waiter = LongPollWaiter()
    waiter.release()
    assert await _end(await _begin(waiter, events.get)) is True


async def test_earlier_disconnect_is_noticed_despite_release() -> None:
    events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    events.put_nowait(REQUEST)
    events.put_nowait(GONE)
    waiter = LongPollWaiter()
    waiter.release()
    assert await _end(await _begin(waiter, events.get)) is False


async def test_disconnect_in_the_same_turn_as_release_counts() -> None:
    events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    waiter = LongPollWaiter()
    task = await _begin(waiter, events.get)
    waiter.release()
    events.put_nowait(GONE)
    assert await _end(task) is False


async def test_receive_has_ended_by_cancellation_when_the_wait_ends() -> None:
    left: list[str] = []

    async def receive() -> dict[str, Any]:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            left.append("cancelled")
            raise
        raise AssertionError

    waiter = LongPollWaiter()
    task = await _begin(waiter, receive)
    waiter.release()
    assert await _end(task) is True
    assert left == ["cancelled"]
    assert task.cancelling() == 0


async def test_receive_through_a_task_group_works_as_middleware_does_it() -> None:
    events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    other = asyncio.Event()

    async def receive() -> dict[str, Any]:
        async with asyncio.timeout(LIMIT_S):
            done, pending = await asyncio.wait(
                [asyncio.ensure_future(events.get()), asyncio.ensure_future(other.wait())],
                return_when=asyncio.FIRST_COMPLETED,
            )
            for task in pending:
                task.cancel()
            result = done.pop().result()
            assert isinstance(result, dict)
            return result

    task = await _begin(LongPollWaiter(), receive)
    events.put_nowait(GONE)
    assert await _end(task) is False


async def test_receive_may_yield_without_a_future() -> None:
    async def receive() -> dict[str, Any]:
        await asyncio.sleep(0)
        return GONE

    assert await _end(await _begin(LongPollWaiter(), receive)) is False


async def test_cancelling_the_request_cancels_the_wait() -> None:
    events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    task = await _begin(LongPollWaiter(), events.get)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await _end(task)
    events.put_nowait(REQUEST)
    assert events.qsize() == 1  # it is not received


async def test_cancellation_of_the_request_prevails_over_release_in_the_same_turn() -> None:
    events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    waiter = LongPollWaiter()
    task = await _begin(waiter, events.get)
    waiter.release()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await _end(task)
    assert task.cancelled()


async def test_receive_that_swallows_the_cancellation_does_not_prolong_the_wait() -> None:
    async def receive() -> dict[str, Any]:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        return REQUEST

    waiter = LongPollWaiter()
    task = await _begin(waiter, receive)
    waiter.release()
    assert await _end(task) is True
    assert task.cancelling() == 0


async def test_error_of_receive_is_raised() -> None:
    async def receive() -> dict[str, Any]:
        await asyncio.sleep(0)
        raise OSError("broken")

    with pytest.raises(OSError, match="broken"):
        await _end(await _begin(LongPollWaiter(), receive))


async def test_wait_creates_no_task() -> None:
    events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    before = len(asyncio.all_tasks())
    waiter = LongPollWaiter()
    task = await _begin(waiter, events.get)
    assert len(asyncio.all_tasks()) == before + 1  # the request's own
    waiter.release()
    await _end(task)
