"""`EventBudget`, shared by the queues of one client: bytes delay the reader, and dropping frees them."""

import asyncio

from zmqio.server.event_budget import EventBudget
from zmqio.server.event_queue import EventPool, EventQueue
from zmqio.server.tasks import Tasks


class Harness:
    """Two queues of one client whose handlers wait for `open`."""

    def __init__(self, kind: type[EventQueue[str]] = EventQueue) -> None:
        self.tasks, self.budget, self.open = Tasks(), EventBudget(1_000), asyncio.Event()
        self.handled: list[str] = []
        self.queues = [kind(self._handle, self.tasks, 100, self.budget) for _ in range(2)]

    async def _handle(self, item: str) -> None:
        await self.open.wait()
        self.handled.append(item)

    async def settle(self) -> None:
        self.open.set()
        await self.tasks.close(10)


async def test_one_event_never_delays_the_reader_however_large() -> None:
    harness = Harness()
    assert harness.queues[0].put("large", 1_000_000) is None
    await harness.settle()
    assert harness.budget.bytes == 0


async def test_bytes_of_all_queues_together_delay_the_reader_until_half_is_free() -> None:
    for kind in (EventQueue, EventPool):
        harness = Harness(kind)
        assert harness.queues[0].put("a", 600) is None
        room = harness.queues[1].put("b", 600)
        assert room is not None
        waiting = asyncio.ensure_future(asyncio.wait_for(room, 10))
        await asyncio.sleep(0)
        assert not waiting.done()
        await harness.settle()
        await waiting
        assert sorted(harness.handled) == ["a", "b"]
        assert (harness.budget.bytes, harness.budget.queues) == (0, set())


async def test_dropped_events_free_their_bytes_and_are_not_handled() -> None:
    harness = Harness()
    for item in "abc":
        harness.queues[0].put(item, 100)
    await asyncio.sleep(0)  # a handler has received the first
    assert (harness.budget.bytes, harness.budget.waiting_bytes) == (300, 200)
    assert harness.budget.drop_waiting() == 2
    assert harness.budget.bytes == 100
    await harness.settle()
    assert harness.handled == ["a"]
    assert harness.budget.bytes == 0
