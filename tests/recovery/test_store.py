"""What a node keeps for the recovery of sessions, and what it counts."""

from collections import Counter

from zmqio.config import Recovery
from zmqio.ids import NodeId, Sid
from zmqio.recovery.session import RecoverableSession
from zmqio.recovery.store import RecoveryStore


class Node:
    def __init__(self, **options: float) -> None:
        self.now = 0.0
        self.counters: Counter[str] = Counter()
        self.store = RecoveryStore(NodeId("tagA-me"), Recovery(**options), 10.0, self.counters, lambda: self.now)

    def suspend(self, pid: str) -> None:
        self.store.suspend(RecoverableSession(pid, "/", Sid("sid"), (), {}, 0.0, {}, 0))


def test_sessions_are_counted_by_what_became_of_them() -> None:
    node = Node(max_disconnection_s=5, max_sessions=2)
    for pid in "pqr":
        node.suspend(pid)
    assert node.store.take("q", "/") is not None
    node.now = 5.0
    node.store.expire()
    assert node.counters == {
        "sessions_suspended": 3,
        "suspended_sessions_dropped": 1,
        "suspended_sessions_expired": 1,
    }


def test_packets_are_kept_as_long_as_a_client_may_be_away_unnoticed() -> None:
    node = Node(max_disconnection_s=5)
    node.store.recorder("/").sent(("x",), None)
    node.now = 14.0
    node.store.expire()
    assert len(node.store.log) == 1
    node.now = 16.0
    node.store.expire()
    assert len(node.store.log) == 0


def test_offsets_of_a_namespace_that_opens_again_are_never_mistaken() -> None:
    node = Node()
    first = node.store.recorder("/")
    first.sent(("x",), None)
    again = node.store.recorder("/")
    assert again.vector() == first.vector()
    assert again.offset() != first.offset()
