import asyncio

import pytest

from zmqio.adapter.base import DONE
from zmqio.cluster.join_barriers import JoinBarriers


async def test_done_can_be_awaited_repeatedly() -> None:
    await DONE
    await asyncio.gather(DONE, DONE)


async def test_wait_without_a_pending_barrier_creates_no_future() -> None:
    assert JoinBarriers().wait_for(["room"]) is DONE


async def test_completed_barrier_is_not_kept() -> None:
    barriers = JoinBarriers()
    applied = asyncio.get_running_loop().create_future()
    applied.set_result(None)
    barriers.add(["room"], applied)
    assert barriers.wait_for(["room"]) is DONE


async def test_all_waiters_wait_for_the_pending_barrier() -> None:
    barriers, applied = JoinBarriers(), asyncio.get_running_loop().create_future()
    barriers.add(["a", "b"], applied)
    waiters = [asyncio.ensure_future(barriers.wait_for(rooms)) for rooms in (["a"], ["b", "c"], ["a", "b"])]
    assert barriers.wait_for(["c"]) is DONE
    await asyncio.sleep(0)
    assert not any(waiter.done() for waiter in waiters)
    applied.set_result(None)
    await asyncio.gather(*waiters)
    assert barriers.wait_for(["a"]) is DONE


async def test_cancelled_waiter_does_not_cancel_the_barrier_of_the_others() -> None:
    barriers, applied = JoinBarriers(), asyncio.get_running_loop().create_future()
    barriers.add(["a"], applied)
    first, second = (asyncio.ensure_future(barriers.wait_for(["a"])) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert not applied.cancelled()
    applied.set_result(None)
    await second


async def test_room_that_was_left_and_joined_again_waits_for_the_newer_barrier() -> None:
    loop = asyncio.get_running_loop()
    barriers, old, new = JoinBarriers(), loop.create_future(), loop.create_future()
    barriers.add(["a"], old)
    barriers.discard(["a", "never there"])
    assert barriers.wait_for(["a"]) is DONE
    barriers.add(["a"], new)
    old.set_result(None)
    await asyncio.sleep(0)
    waiter = asyncio.ensure_future(barriers.wait_for(["a"]))
    await asyncio.sleep(0)
    assert not waiter.done()
    new.set_result(None)
    await waiter
