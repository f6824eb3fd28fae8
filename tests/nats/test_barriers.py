"""Tests of `zmqio.nats.barriers`."""

import asyncio

from zmqio.nats.barriers import OWN_SERVER, BarrierQueue


class Waiting:
    """A queue and its waiters."""

    def __init__(self) -> None:
        self.queue = BarrierQueue()
        self.waiters: list[asyncio.Future[None]] = []

    def add(self) -> asyncio.Future[None]:
        waiter = asyncio.get_running_loop().create_future()
        self.waiters.append(waiter)
        self.queue.add(waiter)
        return waiter


async def test_barrier_waits_for_every_server() -> None:
    waiting = Waiting()
    waiter = waiting.add()
    number = waiting.queue.start(["b", "c"])
    for server in (OWN_SERVER, "b", "x"):
        waiting.queue.confirm(server, number)
    assert not waiter.done()
    waiting.queue.confirm("c", number)
    assert waiter.done()


async def test_confirmation_of_an_earlier_barrier_does_not_count() -> None:
    waiting = Waiting()
    waiting.add()
    first = waiting.queue.start([])
    waiting.queue.confirm(OWN_SERVER, first)
    waiter = waiting.add()
    waiting.queue.start([])
    waiting.queue.confirm(OWN_SERVER, first)
    assert not waiter.done()


async def test_next_barrier_covers_all_that_came_in_the_meantime() -> None:
    waiting = Waiting()
    waiting.add()
    number = waiting.queue.start([])
    later = [waiting.add(), waiting.add()]
    assert waiting.queue.is_under_way
    assert not waiting.queue.is_due
    waiting.queue.confirm(OWN_SERVER, number)
    assert waiting.queue.is_due
    waiting.queue.confirm(OWN_SERVER, waiting.queue.start([]))
    assert all(waiter.done() for waiter in later)
    assert not waiting.queue.is_due


async def test_hurried_barrier_needs_the_own_server_only() -> None:
    waiting = Waiting()
    waiter = waiting.add()
    number = waiting.queue.start(["b", "c"])
    waiting.queue.confirm("b", number)
    assert waiting.queue.skip_others() == {"c"}
    assert not waiter.done()
    waiting.queue.confirm(OWN_SERVER, number)
    assert waiter.done()


async def test_server_that_is_gone_is_not_awaited() -> None:
    waiting = Waiting()
    waiter = waiting.add()
    waiting.queue.confirm(OWN_SERVER, waiting.queue.start(["b"]))
    waiting.queue.forget(["b"])
    assert waiter.done()


async def test_lost_connection_releases_all() -> None:
    waiting = Waiting()
    waiting.add()
    waiting.queue.start(["b"])
    waiting.add().cancel()
    waiting.queue.lost()
    assert all(waiter.done() for waiter in waiting.waiters)
