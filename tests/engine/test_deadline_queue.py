"""One timer for all members that have the same time."""

import asyncio

from tests.support.timing import wait_until
from zmqio.engine.deadline_queue import BATCH, DeadlineQueue


async def test_member_that_is_not_removed_in_time_expires_once() -> None:
    expired: list[str] = []
    queue: DeadlineQueue[str] = DeadlineQueue(0.01, expired.append)
    queue.add("a")
    queue.add("b")
    queue.remove("b")
    queue.remove("unknown")
    await wait_until(lambda: expired, "the end of the time")
    assert (expired, len(queue)) == (["a"], 0)
    queue.add("c")
    await wait_until(lambda: len(expired) == 2, "the end of the time")
    assert expired == ["a", "c"]


async def test_members_expire_in_order_and_in_batches() -> None:
    expired: list[int] = []
    turns: list[int] = []
    queue: DeadlineQueue[int] = DeadlineQueue(0, expired.append)
    members = list(range(3 * BATCH))
    for member in members:
        queue.add(member)

    def count_turn() -> None:
        if len(expired) < len(members):
            turns.append(len(expired))
            asyncio.get_running_loop().call_soon(count_turn)

    count_turn()
    await wait_until(lambda: len(expired) == len(members), "all members")
    assert expired == members
    assert set(turns) == {0, BATCH, 2 * BATCH}


async def test_member_that_an_earlier_one_removes_does_not_expire() -> None:
    expired: list[str] = []

    def expire(member: str) -> None:
        expired.append(member)
        queue.remove("b")

    queue: DeadlineQueue[str] = DeadlineQueue(0.01, expire)
    for member in ("a", "b", "c"):
        queue.add(member)
    await wait_until(lambda: "c" in expired, "the last member")
    assert expired == ["a", "c"]


async def test_nothing_expires_after_stop() -> None:
    expired: list[str] = []
    queue: DeadlineQueue[str] = DeadlineQueue(0.01, expired.append)
    queue.add("a")
    queue.stop()
    other: DeadlineQueue[str] = DeadlineQueue(0.02, expired.append)
    other.add("later")
    await wait_until(lambda: expired, "the later time")
    assert expired == ["later"]
