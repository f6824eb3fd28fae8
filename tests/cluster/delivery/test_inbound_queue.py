"""Messages on their way from the bus to the adapters keep their order, and leave the loop its turns."""

import asyncio

from tests.support.timing import wait_until
from zmqio.cluster.delivery.inbound_queue import SLICE_MESSAGES, InboundQueue


class Sink:
    """Keeps what it is handed, and brings something in itself when it is told to."""

    def __init__(self) -> None:
        self.got: list[int] = []
        self.idle_after: list[int] = []
        self.brings: dict[int, int] = {}
        self.clears_at: int | None = None
        self.inflow = InboundQueue[int](self.hand_on, lambda: self.idle_after.append(len(self.got)))

    def hand_on(self, message: int) -> None:
        self.got.append(message)
        if message in self.brings:
            self.inflow.take(self.brings[message])
        if message == self.clears_at:
            self.inflow.clear()


async def test_message_is_handed_on_at_once_when_nothing_waits() -> None:
    sink = Sink()
    sink.inflow.take(1)
    assert sink.got == [1]
    assert not sink.inflow.busy
    assert sink.idle_after == []


async def test_nothing_overtakes_what_waits() -> None:
    sink = Sink()
    sink.inflow.take_many([1, 2])
    sink.inflow.take(3)
    sink.inflow.take_many([4])
    assert sink.got == []
    assert sink.inflow.busy
    await wait_until(lambda: not sink.inflow.busy, "the end")
    assert sink.got == [1, 2, 3, 4]
    assert sink.idle_after == [4]


async def test_nothing_at_all_is_no_work() -> None:
    sink = Sink()
    sink.inflow.take_many([])
    await asyncio.sleep(0)
    assert not sink.inflow.busy
    assert sink.idle_after == []


async def test_one_turn_of_the_loop_takes_one_slice() -> None:
    sink = Sink()
    sink.inflow.take_many(range(2 * SLICE_MESSAGES + 1))
    seen = []
    while sink.inflow.busy:
        await asyncio.sleep(0)
        seen.append(len(sink.got))
    assert seen == [SLICE_MESSAGES, 2 * SLICE_MESSAGES, 2 * SLICE_MESSAGES + 1]
    assert sink.got == list(range(2 * SLICE_MESSAGES + 1))


async def test_what_handing_on_brings_in_comes_behind_the_message_that_brought_it() -> None:
    sink = Sink()
    sink.brings = {2: 20}
    sink.inflow.take_many([1, 2])
    await wait_until(lambda: sink.idle_after, "the end")
    assert sink.got == [1, 2, 20]


async def test_cleared_inflow_hands_on_nothing_more_and_goes_on_with_what_comes_later() -> None:
    sink = Sink()
    sink.clears_at = 2
    sink.inflow.take_many([1, 2, 3, 4])
    await wait_until(lambda: sink.idle_after, "the end")
    assert sink.got == [1, 2]
    sink.inflow.take_many([5])
    await wait_until(lambda: len(sink.got) == 3, "the later one")
    assert sink.got == [1, 2, 5]
