"""`EventPool` alone: items at the same time, and never more than its bound."""

import asyncio

from tests.support.timing import wait_until
from zmqio.server.event_pool import EventPool
from zmqio.server.tasks import Tasks


class Gates:
    """Handles each item until the test opens its gate."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.ended: list[int] = []
        self._gates: dict[int, asyncio.Event] = {}

    async def handle(self, item: int) -> None:
        self.begun.append(item)
        await self._gates.setdefault(item, asyncio.Event()).wait()
        self.ended.append(item)

    def open(self, *items: int) -> None:
        for item in items:
            self._gates.setdefault(item, asyncio.Event()).set()


async def test_items_begin_in_order_and_end_in_any() -> None:
    gates, tasks = Gates(), Tasks()
    pool = EventPool(gates.handle, tasks.spawn, max_items=10)
    for item in range(3):
        assert pool.put(item) is None
    await wait_until(lambda: len(gates.begun) == 3, "all have begun")
    assert gates.begun == [0, 1, 2]
    gates.open(2)
    await wait_until(lambda: gates.ended == [2], "the last has ended")
    gates.open(0, 1)
    await pool.drained()
    assert sorted(gates.ended) == [0, 1, 2]
    await asyncio.sleep(0)
    assert len(tasks) == 0


async def test_more_than_the_bound_wait_and_tell_when_to_read_on() -> None:
    gates, tasks = Gates(), Tasks()
    pool = EventPool(gates.handle, tasks.spawn, max_items=2)
    assert [pool.put(0), pool.put(1)] == [None, None]
    room = [pool.put(2), pool.put(3)]
    assert None not in room
    reading = asyncio.ensure_future(room[1])  # type: ignore[arg-type]
    await wait_until(lambda: len(gates.begun) == 2, "two have begun")
    gates.open(0)
    await wait_until(lambda: gates.begun == [0, 1, 2], "the third has begun")
    assert (len(pool), reading.done()) == (1, False)
    gates.open(1)
    await reading
    assert len(pool) == 0
    gates.open(2, 3)
    await pool.drained()
    assert sorted(gates.ended) == [0, 1, 2, 3]


async def test_cancelled_reader_takes_nothing_from_the_others() -> None:
    gates, tasks = Gates(), Tasks()
    pool = EventPool(gates.handle, tasks.spawn, max_items=1)
    pool.put(0)
    first, second = (asyncio.ensure_future(pool.put(item)) for item in (1, 2))  # type: ignore[arg-type]
    first.cancel()
    gates.open(0, 1, 2)
    await second
    await pool.drained()
    assert gates.ended == [0, 1, 2]
