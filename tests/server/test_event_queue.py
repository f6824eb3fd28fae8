"""`EventQueue` and `EventPool`: order, back-pressure, and no task while there is nothing to do."""

import asyncio
import time
from typing import Any

import pytest

from tests.support.timing import wait_until
from zmqio.server.event_budget import EventBudget
from zmqio.server.event_queue import TURN_S, EventPool, EventQueue
from zmqio.server.tasks import Tasks


class Gate:
    """Handles one item per permit that the test releases."""

    def __init__(self) -> None:
        self.handled: list[int] = []
        self.permits = asyncio.Semaphore(0)

    async def handle(self, item: int) -> None:
        await self.permits.acquire()
        self.handled.append(item)

    def permit(self, count: int) -> None:
        for _ in range(count):
            self.permits.release()


async def test_items_are_handled_in_order_one_after_the_other() -> None:
    gate, tasks = Gate(), Tasks()
    queue = EventQueue(gate.handle, tasks, max_items=10, budget=EventBudget(1 << 20))
    for item in range(5):
        assert queue.put(item) is None
    gate.permit(5)
    await queue.wait_until_idle()
    assert gate.handled == [0, 1, 2, 3, 4]


async def test_no_task_exists_while_the_queue_is_empty() -> None:
    gate, tasks = Gate(), Tasks()
    queue = EventQueue(gate.handle, tasks, max_items=10, budget=EventBudget(1 << 20))
    gate.permit(2)
    queue.put(1)
    await queue.wait_until_idle()
    await asyncio.sleep(0)
    assert len(tasks) == 0
    queue.put(2)
    assert len(tasks) == 1
    await queue.wait_until_idle()
    assert gate.handled == [1, 2]


async def test_full_queue_still_accepts_items_and_delays_the_reader() -> None:
    gate, tasks = Gate(), Tasks()
    queue = EventQueue(gate.handle, tasks, max_items=4, budget=EventBudget(1 << 20))
    signals = [queue.put(item) for item in range(6)]
    assert signals[:4] == [None] * 4
    assert signals[4] is not None
    assert signals[5] is not None
    waiting = asyncio.ensure_future(_await(signals[4]))
    gate.permit(2)
    await _turns()
    assert not waiting.done()
    gate.permit(4)
    await waiting
    await queue.wait_until_idle()
    assert gate.handled == list(range(6))


async def test_cancelled_reader_does_not_break_the_queue() -> None:
    gate, tasks = Gate(), Tasks()
    queue = EventQueue(gate.handle, tasks, max_items=1, budget=EventBudget(1 << 20))
    queue.put(0)
    reader = asyncio.ensure_future(_await(queue.put(1)))
    await _turns()
    reader.cancel()
    gate.permit(2)
    await queue.wait_until_idle()
    assert gate.handled == [0, 1]


async def test_cancelled_handler_releases_the_reader() -> None:
    gate, tasks = Gate(), Tasks()
    queue = EventQueue(gate.handle, tasks, max_items=1, budget=EventBudget(1 << 20))
    queue.put(0)
    signal = queue.put(1)
    await _turns()
    await tasks.close(0.01)
    await asyncio.wait_for(_await(signal), 10)


async def _await(awaitable: Any) -> None:
    await awaitable


async def _turns() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


class Gates:
    """Handles each item until the test opens its gate."""

    def __init__(self) -> None:
        self.started: list[int] = []
        self.ended: list[int] = []
        self._gates: dict[int, asyncio.Event] = {}

    async def handle(self, item: int) -> None:
        self.started.append(item)
        await self._gates.setdefault(item, asyncio.Event()).wait()
        self.ended.append(item)

    def open(self, *items: int) -> None:
        for item in items:
            self._gates.setdefault(item, asyncio.Event()).set()


async def test_pool_starts_items_in_order_and_lets_them_end_in_any() -> None:
    gates, tasks = Gates(), Tasks()
    pool = EventPool(gates.handle, tasks, max_items=10, budget=EventBudget(1 << 20))
    for item in range(3):
        assert pool.put(item) is None
    await wait_until(lambda: len(gates.started) == 3, "all items to start")
    assert gates.started == [0, 1, 2]
    gates.open(2)
    await wait_until(lambda: gates.ended == [2], "the last item to end")
    gates.open(0, 1)
    await pool.wait_until_idle()
    assert sorted(gates.ended) == [0, 1, 2]
    await asyncio.sleep(0)
    assert len(tasks) == 0


async def test_pool_queues_items_beyond_its_limit_and_delays_the_reader() -> None:
    gates, tasks = Gates(), Tasks()
    pool = EventPool(gates.handle, tasks, max_items=2, budget=EventBudget(1 << 20))
    assert [pool.put(0), pool.put(1)] == [None, None]
    room = [pool.put(2), pool.put(3)]
    assert None not in room
    reading = asyncio.ensure_future(room[1])  # type: ignore[arg-type]
    await wait_until(lambda: len(gates.started) == 2, "two items to start")
    gates.open(0)
    await wait_until(lambda: gates.started == [0, 1, 2], "the third item to start")
    assert (len(pool), reading.done()) == (1, False)
    gates.open(1)
    await reading
    assert len(pool) == 0
    gates.open(2, 3)
    await pool.wait_until_idle()
    assert sorted(gates.ended) == [0, 1, 2, 3]


async def test_cancelled_reader_of_a_pool_does_not_affect_other_readers() -> None:
    gates, tasks = Gates(), Tasks()
    pool = EventPool(gates.handle, tasks, max_items=1, budget=EventBudget(1 << 20))
    pool.put(0)
    first, second = (asyncio.ensure_future(pool.put(item)) for item in (1, 2))  # type: ignore[arg-type]
    first.cancel()
    gates.open(0, 1, 2)
    await second
    await pool.wait_until_idle()
    assert gates.ended == [0, 1, 2]


@pytest.mark.parametrize("running", [1, 3, 8])
async def test_pool_begins_items_in_order_of_arrival(running: int) -> None:
    begun: list[int] = []

    async def handle(number: int) -> None:
        begun.append(number)
        if number % 2:
            await asyncio.sleep(0)

    tasks = Tasks()
    pool = EventPool(handle, tasks, running, EventBudget(1 << 20))
    for number in range(8):
        pool.put(number)
    await pool.wait_until_idle()
    assert begun == list(range(8))


async def test_handlers_that_do_not_suspend_leave_turns_to_the_event_loop() -> None:
    turns = 0

    async def handle(_item: int) -> None:
        time.sleep(TURN_S / 2)  # noqa: ASYNC251  a handler that computes

    async def count_turns() -> None:
        nonlocal turns
        while len(queue):
            turns += 1
            await asyncio.sleep(0)

    queue = EventQueue(handle, Tasks(), max_items=100, budget=EventBudget(1 << 20))
    for item in range(20):
        queue.put(item)
    await asyncio.gather(queue.wait_until_idle(), count_turns())
    assert turns >= 5
