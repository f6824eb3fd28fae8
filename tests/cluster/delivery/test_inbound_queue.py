"""The inbound queue keeps messages in order, and leaves turns to the event loop."""

import asyncio

from tests.support.timing import wait_until
from zmqio.cluster.delivery.inbound_queue import SLICE_MESSAGES, InboundQueue


class Sink:
    """Collects delivered messages.

    Attributes:
        delivered: the messages, in order.
        empty_after: how many messages were delivered each time that the queue became empty.
        adds: message -> a live message that its delivery adds.
        clears_at: the message whose delivery clears the queue.
    """

    def __init__(self) -> None:
        self.delivered: list[int] = []
        self.empty_after: list[int] = []
        self.adds: dict[int, int] = {}
        self.clears_at: int | None = None
        self.queue = InboundQueue[int](self.deliver, lambda: self.empty_after.append(len(self.delivered)))

    def deliver(self, message: int) -> None:
        self.delivered.append(message)
        if message in self.adds:
            assert self.queue.append_if_busy(self.adds[message])
        if message == self.clears_at:
            self.queue.clear()


async def test_live_message_is_not_queued_while_the_queue_is_empty() -> None:
    sink = Sink()
    assert not sink.queue.append_if_busy(1)
    await asyncio.sleep(0)
    assert not sink.queue.busy
    assert (sink.delivered, sink.empty_after) == ([], [])


async def test_live_message_does_not_overtake_queued_ones() -> None:
    sink = Sink()
    sink.queue.extend([1, 2])
    assert sink.queue.append_if_busy(3)
    sink.queue.extend([4])
    assert sink.delivered == []
    assert sink.queue.busy
    await wait_until(lambda: not sink.queue.busy, "an empty queue")
    assert sink.delivered == [1, 2, 3, 4]
    assert sink.empty_after == [4]


async def test_extending_by_nothing_schedules_nothing() -> None:
    sink = Sink()
    sink.queue.extend([])
    await asyncio.sleep(0)
    assert not sink.queue.busy
    assert sink.empty_after == []


async def test_each_turn_of_the_event_loop_delivers_one_slice() -> None:
    sink = Sink()
    sink.queue.extend(range(2 * SLICE_MESSAGES + 1))
    seen = []
    while sink.queue.busy:
        await asyncio.sleep(0)
        seen.append(len(sink.delivered))
    assert seen == [SLICE_MESSAGES, 2 * SLICE_MESSAGES, 2 * SLICE_MESSAGES + 1]
    assert sink.delivered == list(range(2 * SLICE_MESSAGES + 1))


async def test_message_added_by_a_delivery_is_delivered_behind_that_message() -> None:
    sink = Sink()
    sink.adds = {2: 20}
    sink.queue.extend([1, 2])
    await wait_until(lambda: sink.empty_after, "an empty queue")
    assert sink.delivered == [1, 2, 20]


async def test_cleared_queue_delivers_only_messages_added_later() -> None:
    sink = Sink()
    sink.clears_at = 2
    sink.queue.extend([1, 2, 3, 4])
    await wait_until(lambda: sink.empty_after, "an empty queue")
    assert sink.delivered == [1, 2]
    sink.queue.extend([5])
    await wait_until(lambda: len(sink.delivered) == 3, "the later message")
    assert sink.delivered == [1, 2, 5]
