"""`AdminOutbox`: order, and an event that cannot be sent."""

import asyncio
from typing import Any

from tests.support.timing import wait_until
from zmqio.exceptions import BusOverflowError
from zmqio.server.admin.outbox import SLICE_EVENTS, AdminOutbox


async def test_events_are_sent_in_order_and_one_that_fails_stops_none() -> None:
    sent: list[Any] = []

    async def emit(event: Any) -> None:
        await asyncio.sleep(0)
        if event == 1:
            raise BusOverflowError(1, 1)
        sent.append(event)

    outbox = AdminOutbox(emit, asyncio.get_running_loop().create_task)
    for number in range(3 * SLICE_EVENTS):
        outbox.send(number)
    await wait_until(lambda: len(sent) == 3 * SLICE_EVENTS - 1, "all events")
    outbox.send("later")
    await wait_until(lambda: sent[-1] == "later", "the next event")
    assert sent[:-1] == [0, *range(2, 3 * SLICE_EVENTS)]
