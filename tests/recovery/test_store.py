"""What a node keeps for the recovery of sessions, and what it counts."""

from collections import Counter

from zmqio.config import Recovery
from zmqio.ids import NodeId, Sid
from zmqio.recovery.session import RecoverableSession, Returning
from zmqio.recovery.store import GIVEN_KEPT_S, ClaimFailure, RecoveryStore


class Node:
    def __init__(self, **options: float) -> None:
        self.now = 0.0
        self.counters: Counter[str] = Counter()
        self.store = RecoveryStore(NodeId("tagA-me"), Recovery(**options), 10.0, self.counters, lambda: self.now)

    def suspend(self, pid: str) -> None:
        self.store.suspend(RecoverableSession(pid, "/", Sid("sid"), (), {}, 0.0, {}, 0))


class User:
    """The connected client of the session `p`."""

    def __init__(self, node: Node) -> None:
        self._node = node

    def end_connection(self) -> None:
        self._node.suspend("p")

    def snapshot(self) -> RecoverableSession:
        raise NotImplementedError


def test_sessions_are_counted_by_what_became_of_them() -> None:
    node = Node(max_disconnection_s=5, max_sessions=2)
    for pid in "pqr":
        node.suspend(pid)
    assert isinstance(node.store.claim("/", "q", None), Returning)
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
    node.now = 29.0  # 5 s, 15 s for the return, and 10 s until the loss is noticed
    node.store.expire()
    assert len(node.store.log) == 1
    node.now = 31.0
    node.store.expire()
    assert len(node.store.log) == 0


def test_offsets_of_a_namespace_that_opens_again_are_never_mistaken() -> None:
    node = Node()
    first = node.store.recorder("/")
    first.sent(("x",), None)
    again = node.store.recorder("/")
    assert again.vector() == first.vector()
    assert again.offset() != first.offset()


def test_a_session_that_is_still_in_use_is_taken_from_its_connection() -> None:
    node = Node()
    node.store.recorder("/")
    node.store.in_use["p"] = User(node)
    assert isinstance(node.store.claim("/", "p", None), Returning)


def test_the_same_offset_can_be_claimed_twice_wherever_it_was_made() -> None:
    node = Node()
    node.store.recorder("/")
    session = RecoverableSession("p", "/", Sid("sid"), (), {}, 0.0, {}, 0)
    session.claimed = "of another node", {"other": 3}
    node.store.suspend(session)
    found = node.store.claim("/", "p", "of another node")
    assert isinstance(found, Returning) and found.received == {"other": 3}


def test_the_end_of_a_session_is_told_unless_a_client_has_it_again() -> None:
    node, ended = Node(max_disconnection_s=5), []
    node.store.on_end["/"] = lambda session: ended.append(session.pid)
    for pid in ("unknown offset", "claimed", "given", "expired"):
        node.suspend(pid)
    assert node.store.claim("/", "unknown offset", "x") is ClaimFailure.OFFSET_UNKNOWN
    for pid in ("claimed", "given"):
        found = node.store.claim("/", pid, None)
        assert isinstance(found, Returning)
        if pid == "given":
            node.store.give(found.session)
    assert ended == ["unknown offset"]
    assert node.store.take_given("given") is not None
    node.now = 5.0
    node.store.expire()
    assert ended == ["unknown offset", "given", "expired"]


def test_a_session_that_was_given_away_is_forgotten_after_a_while() -> None:
    node = Node()
    node.suspend("p")
    found = node.store.claim("/", "p", None)
    assert isinstance(found, Returning)
    node.store.give(found.session)
    node.now = GIVEN_KEPT_S
    node.store.expire()
    assert node.store.take_given("p") is None
