"""One timer for all heartbeats."""

import asyncio

import uvloop

from tests.support.timing import wait_until
from zmqio.engine.heartbeat import BATCH, Heartbeat
from zmqio.engine.wheel import HeartbeatSchedule


def _heartbeat(interval_s: float, timeout_s: float) -> tuple[Heartbeat[int], list[int], list[int]]:
    pinged: list[int] = []
    expired: list[int] = []
    return Heartbeat(HeartbeatSchedule(interval_s, timeout_s), pinged.append, expired.append), pinged, expired


async def test_member_is_pinged_then_expired_when_it_does_not_answer() -> None:
    heartbeat, pinged, expired = _heartbeat(0.01, 0.01)
    heartbeat.begin(1)
    await wait_until(lambda: expired, "expiry")
    assert (pinged, expired) == ([1], [1])


async def test_member_that_answers_is_pinged_again() -> None:
    heartbeat, pinged, expired = _heartbeat(0.005, 30)
    heartbeat.begin(1)
    for count in (1, 2, 3):
        await wait_until(lambda count=count: len(pinged) == count, f"ping {count}")  # type: ignore[misc]
        heartbeat.begin(1)
    assert expired == []
    heartbeat.stop()


async def test_ping_of_a_new_member_does_not_wait_for_a_far_expiry() -> None:
    heartbeat, pinged, _ = _heartbeat(0.005, 3600)
    heartbeat.begin(1)
    await wait_until(lambda: pinged == [1], "first ping")
    heartbeat.begin(2)  # now the timer is armed for the expiry in an hour
    await wait_until(lambda: pinged == [1, 2], "second ping")
    heartbeat.stop()


async def test_more_members_than_a_batch_are_all_pinged() -> None:
    heartbeat, pinged, _ = _heartbeat(0.005, 3600)
    for member in range(3 * BATCH):
        heartbeat.begin(member)
    await wait_until(lambda: len(pinged) == 3 * BATCH, "all pings")
    heartbeat.stop()


async def test_forgotten_member_is_not_pinged_and_others_are() -> None:
    heartbeat, pinged, _ = _heartbeat(0.005, 3600)
    heartbeat.begin(1)
    heartbeat.begin(2)
    heartbeat.forget(1)
    await wait_until(lambda: pinged, "a ping")
    assert pinged == [2]
    heartbeat.stop()


async def test_extended_member_outlives_one_that_is_not() -> None:
    heartbeat, pinged, expired = _heartbeat(0.005, 0.05)
    heartbeat.begin(1)
    heartbeat.begin(2)
    await wait_until(lambda: len(pinged) == 2, "pings")
    heartbeat.extend(1)
    await wait_until(lambda: len(expired) == 2, "expiries")
    assert expired == [2, 1]


async def test_one_ping_that_fails_does_not_stop_the_others() -> None:
    pinged: list[int] = []

    def ping(member: int) -> None:
        pinged.append(member)
        if member == 1:
            heartbeat.forget(1)

    heartbeat: Heartbeat[int] = Heartbeat(HeartbeatSchedule(0.005, 3600), ping, pinged.append)
    heartbeat.begin(1)
    heartbeat.begin(2)
    await wait_until(lambda: pinged == [1, 2], "both pings")
    heartbeat.stop()


def test_timer_that_is_due_at_once_does_no_harm_under_uvloop() -> None:
    # uvloop's `call_at` gives a handle without `when()` for it: every client's first pong ended its connection.
    pinged: list[str] = []

    async def run() -> None:
        heartbeat = Heartbeat(HeartbeatSchedule[str](0.000_001, 10.0), pinged.append, lambda member: None)
        for _ in range(100):
            heartbeat.begin("a")
            heartbeat.begin("b")
        await wait_until(lambda: {"a", "b"} <= set(pinged), "both are pinged")
        heartbeat.stop()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())
