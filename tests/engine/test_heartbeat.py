"""One timer for all heartbeats."""

import asyncio
from functools import partial

import uvloop
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from tests.support.timing import wait_until
from zmqio.engine.heartbeat import BATCH, HeartbeatSchedule, HeartbeatTimer


def test_ping_is_due_exactly_one_interval_after_the_handshake() -> None:
    schedule: HeartbeatSchedule[str] = HeartbeatSchedule(25, 20)
    assert schedule.schedule("a", 100) == 125
    assert schedule.take_due(124.999, 10) == []
    assert schedule.next_s() == 125
    assert schedule.take_due(125, 10) == ["a"]


def test_answer_is_overdue_exactly_at_its_time_limit() -> None:
    schedule: HeartbeatSchedule[str] = HeartbeatSchedule(25, 20)
    schedule.schedule("a", 0)
    schedule.take_due(25, 10)
    assert schedule.next_s() == 45
    assert schedule.take_expired(44.999, 10) == []
    assert schedule.take_expired(45, 10) == ["a"]
    assert len(schedule) == 0


def test_answer_in_time_schedules_the_next_ping_from_then() -> None:
    schedule: HeartbeatSchedule[str] = HeartbeatSchedule(25, 20)
    schedule.schedule("a", 0)
    schedule.take_due(25, 10)
    schedule.schedule("a", 30)
    assert schedule.take_expired(100, 10) == []
    assert schedule.next_s() == 55


def test_unasked_answer_moves_the_next_ping() -> None:
    schedule: HeartbeatSchedule[str] = HeartbeatSchedule(25, 20)
    schedule.schedule("a", 0)
    schedule.schedule("b", 1)
    schedule.schedule("a", 10)
    assert schedule.take_due(30, 10) == ["b"]


def test_other_traffic_gives_only_those_that_owe_an_answer_more_time() -> None:
    schedule: HeartbeatSchedule[str] = HeartbeatSchedule(25, 20)
    schedule.schedule("a", 0)
    schedule.extend("a", 10)
    assert schedule.next_s() == 25
    schedule.take_due(25, 10)
    schedule.extend("a", 40)
    assert schedule.take_expired(59, 10) == []
    assert schedule.take_expired(60, 10) == ["a"]


def test_removed_member_is_neither_due_nor_overdue() -> None:
    schedule: HeartbeatSchedule[str] = HeartbeatSchedule(25, 20)
    schedule.schedule("a", 0)
    schedule.schedule("b", 0)
    schedule.remove("a")
    assert schedule.take_due(25, 10) == ["b"]
    schedule.remove("b")
    schedule.remove("never there")
    assert (schedule.next_s(), schedule.take_expired(99, 10)) == (None, [])


def test_no_more_than_a_batch_is_taken_at_once() -> None:
    schedule: HeartbeatSchedule[int] = HeartbeatSchedule(25, 20)
    for member in range(5):
        schedule.schedule(member, 0)
    assert schedule.take_due(30, 3) == [0, 1, 2]
    assert schedule.take_due(30, 3) == [3, 4]


@given(st.lists(st.tuples(st.integers(0, 4), st.sampled_from(["answer", "talk", "leave", "tick"])), max_size=60))
def test_no_member_is_pinged_early_or_expired_within_the_limit(steps: list[tuple[int, str]]) -> None:
    schedule: HeartbeatSchedule[int] = HeartbeatSchedule(5, 3)
    ping_at = dict.fromkeys(range(5), 5.0)
    owed_until: dict[int, float] = {}
    for member in range(5):
        schedule.schedule(member, 0)
    for now, (member, step) in enumerate(steps):
        if step == "answer" and (member in ping_at or member in owed_until):
            owed_until.pop(member, None)
            ping_at[member] = schedule.schedule(member, now)
        elif step == "talk" and member in owed_until:
            schedule.extend(member, now)
            owed_until[member] = now + 3
        elif step == "leave":
            schedule.remove(member)
            ping_at.pop(member, None)
            owed_until.pop(member, None)
        expired = {key for key, limit in owed_until.items() if limit <= now}
        assert set(schedule.take_expired(now, 10)) == expired
        due = {key for key, at in ping_at.items() if at <= now}
        assert set(schedule.take_due(now, 10)) == due
        for key in expired:
            del owed_until[key]
        for key in due:
            del ping_at[key]
            owed_until[key] = now + 3
    assert schedule.next_s() == min([*ping_at.values(), *owed_until.values()], default=None)


def _heartbeat(interval_s: float, timeout_s: float) -> tuple[HeartbeatTimer[int], list[int], list[int]]:
    pinged: list[int] = []
    expired: list[int] = []
    return HeartbeatTimer(HeartbeatSchedule(interval_s, timeout_s), pinged.append, expired.append), pinged, expired


async def test_member_without_an_answer_is_pinged_and_then_expired() -> None:
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
    expired: list[int] = []

    def ping(member: int) -> None:
        if member == 2:
            heartbeat.extend(1)

    heartbeat: HeartbeatTimer[int] = HeartbeatTimer(HeartbeatSchedule(0.005, 0.05), ping, expired.append)
    heartbeat.begin(1)
    heartbeat.begin(2)
    await wait_until(lambda: len(expired) == 2, "expiries")
    assert expired == [2, 1]


async def test_one_ping_that_fails_does_not_stop_the_others() -> None:
    pinged: list[int] = []

    def ping(member: int) -> None:
        pinged.append(member)
        if member == 1:
            heartbeat.forget(1)

    heartbeat: HeartbeatTimer[int] = HeartbeatTimer(HeartbeatSchedule(0.005, 3600), ping, pinged.append)
    heartbeat.begin(1)
    heartbeat.begin(2)
    await wait_until(lambda: pinged == [1, 2], "both pings")
    heartbeat.stop()


def test_timer_that_is_due_at_once_works_under_uvloop() -> None:
    # uvloop's `call_at` gives a handle without `when()` for it: every client's first pong ended its connection.
    pinged: list[str] = []

    async def run() -> None:
        heartbeat = HeartbeatTimer(HeartbeatSchedule[str](0.000_001, 10.0), pinged.append, lambda member: None)
        for _ in range(100):
            heartbeat.begin("a")
            heartbeat.begin("b")
        await wait_until(lambda: {"a", "b"} <= set(pinged), "both are pinged")
        heartbeat.stop()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run())


async def test_error_of_one_member_costs_the_others_nothing() -> None:
    pinged: list[int] = []
    expired: list[int] = []

    def act(done: list[int], member: int) -> None:
        if member == 1:
            raise RuntimeError("a bug")
        done.append(member)

    schedule: HeartbeatSchedule[int] = HeartbeatSchedule(0.01, 0.01)
    heartbeat = HeartbeatTimer(schedule, partial(act, pinged), partial(act, expired))
    with capture_logs() as logs:
        for member in range(4):
            heartbeat.begin(member)
        await wait_until(lambda: len(expired) == 3, "the pings and the expiries")
    assert (pinged, expired) == ([0, 2, 3], [0, 2, 3])
    assert {line["event"] for line in logs} == {"session_heartbeat_failed"}
