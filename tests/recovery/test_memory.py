"""Memory of many suspended sessions is bounded, and is given back."""

import gc
import sys
from collections import Counter

from zmqio.config import Recovery
from zmqio.ids import NodeId, Sid
from zmqio.recovery.session import RecoverableSession
from zmqio.recovery.store import RecoveryStore

SESSIONS = 50_000


class Time:
    """A clock that is set."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def make_store(clock: Time, **limits: int) -> RecoveryStore:
    store = RecoveryStore(NodeId("tagA-me"), Recovery(**limits), 10.0, Counter(), clock)
    store.recorder("/")
    return store


def suspend(store: RecoveryStore, number: int) -> None:
    sid = Sid(f"tagA{number:016}")
    rooms, data = (sid, f"room {number % 100}"), {"name": f"user {number}", "number": number}
    session = RecoverableSession(f"tagA{number:016}", "/", sid, rooms, data, store.clock(), {}, 0)
    store.suspend(session)


def test_the_memory_of_50_000_sessions_is_given_back() -> None:
    clock = Time()
    store = make_store(clock)
    gc.collect()
    before = sys.getallocatedblocks()
    for number in range(SESSIONS):
        suspend(store, number)
    held = sys.getallocatedblocks() - before
    assert len(store.suspended) == SESSIONS
    assert SESSIONS < held < 25 * SESSIONS
    clock.now = 121.0
    store.expire()
    gc.collect()
    left = sys.getallocatedblocks() - before
    assert (len(store.suspended), store.suspended.size_bytes) == (0, 0)
    assert left < held / 20


def test_beyond_the_limit_the_oldest_sessions_are_dropped() -> None:
    store = make_store(Time(), max_session_bytes=1 << 20)
    for number in range(5_000):
        suspend(store, number)
    assert store.suspended.size_bytes <= 1 << 20
    assert 0 < len(store.suspended) < 5_000
    assert f"tagA{4_999:016}" in store.suspended and f"tagA{0:016}" not in store.suspended
