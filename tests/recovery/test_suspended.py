"""Suspended sessions: until the client returns, or their time or place is over."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from zmqio.ids import Sid
from zmqio.recovery.session import RecoverableSession
from zmqio.recovery.suspended import SuspendedSessions


def session(pid: str, namespace: str = "/", **data: Any) -> RecoverableSession:
    return RecoverableSession(pid, namespace, Sid(f"sid-{pid}"), (), data, 0.0, {}, 0)


class Kept:
    def __init__(self, keep_s: float = 10.0, max_sessions: int = 3, max_bytes: int = 1 << 20) -> None:
        self.ended: list[tuple[str, str]] = []
        self.sessions = SuspendedSessions(
            keep_s, max_sessions, max_bytes, lambda ended, why: self.ended.append((ended.pid, why))
        )


def test_a_session_is_taken_once() -> None:
    kept = Kept()
    kept.sessions.add(session("p"), 0.0)
    assert "p" in kept.sessions
    taken = kept.sessions.take("p", "/", 5.0)
    assert taken is not None and taken.pid == "p"
    assert kept.sessions.take("p", "/", 5.0) is None
    assert kept.ended == [("p", "taken")]
    assert kept.sessions.size_bytes == 0


def test_a_session_of_another_namespace_stays() -> None:
    kept = Kept()
    kept.sessions.add(session("p"), 0.0)
    assert kept.sessions.take("p", "/other", 1.0) is None
    assert len(kept.sessions) == 1


def test_after_its_time_a_session_is_gone() -> None:
    kept = Kept()
    kept.sessions.add(session("p"), 0.0)
    kept.sessions.add(session("q"), 5.0)
    assert kept.sessions.take("p", "/", 10.0) is None
    kept.sessions.expire(10.0)
    assert [each.pid for each in kept.sessions] == ["q"]
    assert kept.ended == [("p", "expired")]
    assert kept.sessions.next_expiry == 15.0


def test_beyond_the_limits_the_oldest_are_dropped() -> None:
    kept = Kept(max_sessions=2)
    for pid in "pqr":
        kept.sessions.add(session(pid), 0.0)
    assert kept.ended == [("p", "dropped")]
    small = Kept(max_bytes=5_000)
    small.sessions.add(session("p", text="x" * 2_000), 0.0)
    small.sessions.add(session("q", text="x" * 3_000), 0.0)
    assert small.ended == [("p", "dropped")]


@given(st.lists(st.tuples(st.sampled_from(["add", "take", "expire"]), st.sampled_from("pqrst"), st.floats(0, 4))))
def test_bounds_and_sizes_hold_in_every_history(steps: list[tuple[str, str, float]]) -> None:
    kept, now, until = Kept(), 0.0, dict[str, float]()
    for step, pid, wait_s in steps:
        now += wait_s
        if step == "add" and pid not in kept.sessions:
            kept.sessions.add(session(pid), now)
            until[pid] = now + 10.0
        elif step == "take":
            found = kept.sessions.take(pid, "/", now)
            assert found is None or until[pid] > now
        else:
            kept.sessions.expire(now)
            assert all(until[each.pid] > now for each in kept.sessions)
        assert len(kept.sessions) <= 3
        assert kept.sessions.size_bytes == sum(each.size_bytes for each in kept.sessions)
