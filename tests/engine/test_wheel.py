"""Due times of pings and of their answers."""

from hypothesis import given
from hypothesis import strategies as st

from zmqio.engine.wheel import HeartbeatSchedule


def test_ping_is_due_exactly_one_interval_after_the_handshake() -> None:
    wheel: HeartbeatSchedule[str] = HeartbeatSchedule(25, 20)
    assert wheel.schedule("a", 100) == 125
    assert wheel.take_due(124.999, 10) == []
    assert wheel.next_s() == 125
    assert wheel.take_due(125, 10) == ["a"]


def test_answer_is_overdue_exactly_at_its_time_limit() -> None:
    wheel: HeartbeatSchedule[str] = HeartbeatSchedule(25, 20)
    wheel.schedule("a", 0)
    wheel.take_due(25, 10)
    assert wheel.next_s() == 45
    assert wheel.take_expired(44.999, 10) == []
    assert wheel.take_expired(45, 10) == ["a"]
    assert len(wheel) == 0


def test_answer_in_time_schedules_the_next_ping_from_then() -> None:
    wheel: HeartbeatSchedule[str] = HeartbeatSchedule(25, 20)
    wheel.schedule("a", 0)
    wheel.take_due(25, 10)
    wheel.schedule("a", 30)
    assert wheel.take_expired(100, 10) == []
    assert wheel.next_s() == 55


def test_unasked_answer_moves_the_next_ping() -> None:
    wheel: HeartbeatSchedule[str] = HeartbeatSchedule(25, 20)
    wheel.schedule("a", 0)
    wheel.schedule("b", 1)
    wheel.schedule("a", 10)
    assert wheel.take_due(30, 10) == ["b"]


def test_other_traffic_gives_only_those_that_owe_an_answer_more_time() -> None:
    wheel: HeartbeatSchedule[str] = HeartbeatSchedule(25, 20)
    wheel.schedule("a", 0)
    wheel.extend("a", 10)
    assert wheel.next_s() == 25
    wheel.take_due(25, 10)
    wheel.extend("a", 40)
    assert wheel.take_expired(59, 10) == []
    assert wheel.take_expired(60, 10) == ["a"]


def test_removed_member_is_neither_due_nor_overdue() -> None:
    wheel: HeartbeatSchedule[str] = HeartbeatSchedule(25, 20)
    wheel.schedule("a", 0)
    wheel.schedule("b", 0)
    wheel.remove("a")
    assert wheel.take_due(25, 10) == ["b"]
    wheel.remove("b")
    wheel.remove("never there")
    assert (wheel.next_s(), wheel.take_expired(99, 10)) == (None, [])


def test_no_more_than_a_batch_is_taken_at_once() -> None:
    wheel: HeartbeatSchedule[int] = HeartbeatSchedule(25, 20)
    for member in range(5):
        wheel.schedule(member, 0)
    assert wheel.take_due(30, 3) == [0, 1, 2]
    assert wheel.take_due(30, 3) == [3, 4]


@given(st.lists(st.tuples(st.integers(0, 4), st.sampled_from(["answer", "talk", "leave", "tick"])), max_size=60))
def test_nobody_is_pinged_early_or_expired_within_the_limit(steps: list[tuple[int, str]]) -> None:
    wheel: HeartbeatSchedule[int] = HeartbeatSchedule(5, 3)
    ping_at = dict.fromkeys(range(5), 5.0)
    owed_until: dict[int, float] = {}
    for member in range(5):
        wheel.schedule(member, 0)
    for now, (member, step) in enumerate(steps):
        if step == "answer" and (member in ping_at or member in owed_until):
            owed_until.pop(member, None)
            ping_at[member] = wheel.schedule(member, now)
        elif step == "talk" and member in owed_until:
            wheel.extend(member, now)
            owed_until[member] = now + 3
        elif step == "leave":
            wheel.remove(member)
            ping_at.pop(member, None)
            owed_until.pop(member, None)
        expired = {key for key, limit in owed_until.items() if limit <= now}
        assert set(wheel.take_expired(now, 10)) == expired
        due = {key for key, at in ping_at.items() if at <= now}
        assert set(wheel.take_due(now, 10)) == due
        for key in expired:
            del owed_until[key]
        for key in due:
            del ping_at[key]
            owed_until[key] = now + 3
    assert wheel.next_s() == min([*ping_at.values(), *owed_until.values()], default=None)
