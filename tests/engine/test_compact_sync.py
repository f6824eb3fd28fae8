"""The event and the queue that weigh little while nothing happens."""

import asyncio
import sys

import pytest

from tests.support.timing import LIMIT_S
from zmqio.engine.compact_sync import CompactEvent, CompactQueue


async def test_event_wakes_all_waiters() -> None:
    event = CompactEvent()
    waiting = [asyncio.ensure_future(event.wait()) for _ in range(3)]
    await asyncio.sleep(0)
    assert not event.is_set()
    event.set()
    async with asyncio.timeout(LIMIT_S):
        assert await asyncio.gather(*waiting) == [True, True, True]
    assert event.is_set()


async def test_event_that_is_set_lets_pass_at_once_until_it_is_cleared() -> None:
    event = CompactEvent()
    event.set()
    assert await event.wait()
    event.clear()
    waiting = asyncio.ensure_future(event.wait())
    await asyncio.sleep(0)
    assert not waiting.done()
    event.set()
    async with asyncio.timeout(LIMIT_S):
        assert await waiting


async def test_event_set_and_cleared_in_one_turn_still_wakes_its_waiters() -> None:
    event = CompactEvent()
    waiting = asyncio.ensure_future(event.wait())
    await asyncio.sleep(0)
    event.set()
    event.clear()
    async with asyncio.timeout(LIMIT_S):
        assert await waiting


async def test_event_ignores_a_cancelled_waiter() -> None:
    event = CompactEvent()
    gone, stays = (asyncio.ensure_future(event.wait()) for _ in range(2))
    await asyncio.sleep(0)
    gone.cancel()
    with pytest.raises(asyncio.CancelledError):
        await gone
    event.set()
    async with asyncio.timeout(LIMIT_S):
        assert await stays


async def test_queue_keeps_the_order() -> None:
    queue = CompactQueue[int]()
    assert queue.empty()
    for number in range(3):
        queue.put_nowait(number)
    assert not queue.empty()
    assert [await queue.get() for _ in range(3)] == [0, 1, 2]
    assert queue.empty()


async def test_queue_returns_an_item_that_arrives_later() -> None:
    queue = CompactQueue[str]()
    waiting = asyncio.ensure_future(queue.get())
    await asyncio.sleep(0)
    queue.put_nowait("a")
    queue.put_nowait("b")
    async with asyncio.timeout(LIMIT_S):
        assert await waiting == "a"
        assert await queue.get() == "b"


async def test_item_is_not_lost_if_its_reader_is_cancelled_as_it_arrives() -> None:
    queue = CompactQueue[str]()
    waiting = asyncio.ensure_future(queue.get())
    await asyncio.sleep(0)
    queue.put_nowait("a")
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    async with asyncio.timeout(LIMIT_S):
        assert await queue.get() == "a"


async def test_two_readers_get_one_item_each() -> None:
    queue = CompactQueue[int]()
    readers = [asyncio.ensure_future(queue.get()) for _ in range(2)]
    await asyncio.sleep(0)
    queue.put_nowait(1)
    await asyncio.sleep(0)
    queue.put_nowait(2)
    async with asyncio.timeout(LIMIT_S):
        assert sorted(await asyncio.gather(*readers)) == [1, 2]


async def test_filled_queue_is_read_without_waiting() -> None:
    queue = CompactQueue[str]()
    filled = queue.filled()
    assert not filled.done()
    queue.put_nowait("a")
    async with asyncio.timeout(LIMIT_S):
        await filled
    assert queue.get_nowait() == "a"
    assert queue.empty()


async def test_idle_queue_weighs_less_than_asyncios_deques() -> None:
    queue = CompactQueue[int]()
    queue.put_nowait(1)
    await queue.get()
    own = sum(map(sys.getsizeof, (queue, CompactEvent(), [])))
    assert own < sys.getsizeof(type(asyncio.Queue()._queue)())  # type: ignore[attr-defined]
