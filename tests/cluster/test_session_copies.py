"""The next node has copies of a node's sessions, and continues them after a death."""

import asyncio
from collections import Counter

import pytest

from tests.support.memory_bus import MemoryNetwork
from tests.support.memory_nodes import started_factories
from tests.support.timing import wait_until
from zmqio.cluster.handover_rows import pack_session
from zmqio.cluster.session_copies import CopySender, KeptCopies, choose_keeper
from zmqio.config import Recovery
from zmqio.ids import NodeId, Sid
from zmqio.protocol.recovery_messages import RecoveryMessage, SessionCopies
from zmqio.protocol.values import pack_values, unpack_list
from zmqio.recovery.session import RecoverableSession
from zmqio.recovery.store import RecoveryStore

A, B, C = NodeId("a-node"), NodeId("b-node"), NodeId("c-node")


def make_store(**options: int) -> RecoveryStore:
    return RecoveryStore(A, Recovery(**options), 10.0, Counter(), asyncio.get_running_loop().time)


def session(pid: str, room: str = "r") -> RecoverableSession:
    return RecoverableSession(pid, "/", Sid(f"sid-{pid}"), (room,), {}, 0.0, {}, 0)


def copies(*pids: str, gone: tuple[str, ...] = (), replace: bool = False) -> SessionCopies:
    rows = [unpack_list(pack_session(session(pid), (), 0.0)) for pid in pids]
    return SessionCopies(replace, gone, pack_values(rows))


def test_the_next_node_in_the_order_of_ids_keeps_the_copies() -> None:
    assert choose_keeper(A, ()) is None
    assert choose_keeper(A, (C, B)) == B
    assert choose_keeper(B, (A, C)) == C
    assert choose_keeper(C, (B, A)) == A


async def test_copies_are_replaced_dropped_and_taken() -> None:
    kept = KeptCopies(make_store())
    kept.update(B, copies("p", "q"))
    kept.update(B, copies("r", gone=("p",)))
    assert (kept.owner_of("p"), kept.owner_of("q")) == (None, B)
    kept.update(B, copies("s", replace=True))
    assert kept.owner_of("q") is None
    assert [each.pid for each in kept.take(B)] == ["s"]
    assert kept.owner_of("s") is None and list(kept.take(B)) == []


async def test_copies_are_bounded() -> None:
    kept = KeptCopies(make_store(max_sessions=2))
    kept.update(B, copies("p", "q", "r"))
    assert [each.pid for each in kept.take(B)] == ["p", "q"]


class Recorded:
    """The messages that a node receives."""

    def __init__(self) -> None:
        self.messages: list[SessionCopies] = []

    def received(self, sender: NodeId, message: RecoveryMessage) -> None:
        assert isinstance(message, SessionCopies)
        self.messages.append(message)

    def node_left(self, node_id: NodeId, *, died: bool) -> None: ...


async def test_only_what_has_changed_is_sent() -> None:
    async with started_factories(2, MemoryNetwork()) as ((factory, identity), (other, _)):
        store = RecoveryStore(identity.node_id, Recovery(), 10.0, Counter(), asyncio.get_running_loop().time)
        recorder = store.recorder("/")
        recorder.offset()
        other._running_node().recover_sessions(seen := Recorded())
        await wait_until(lambda: factory._running_node().keepers, "the keeper")
        sender = CopySender(factory._running_node(), store, 1 << 20)
        store.suspend(session("p"))
        await sender.send_changes()
        await wait_until(lambda: len(seen.messages) == 1, "the first copies")
        assert seen.messages[0].replace
        assert sorted(row[0] for row in unpack_list(seen.messages[0].rows)) == ["session", "table"]
        await sender.send_changes()
        store.suspend(session("q"))
        store.end(store.claim("/", "p", None).session)  # type: ignore[union-attr]
        await sender.send_changes()
        await wait_until(lambda: len(seen.messages) == 2, "the changes")
        assert [row[1] for row in unpack_list(seen.messages[1].rows)] == ["q"]
        assert seen.messages[1].gone == ("p",) and not seen.messages[1].replace


async def test_copies_are_sent_to_a_node_that_keeps_them_as_long_as_it_does() -> None:
    async with started_factories(3, MemoryNetwork()) as nodes:
        (node, plain, keeper) = (factory._running_node() for factory, _ in nodes)
        plain.inbound.recovery = unasked = Recorded()  # it announces nothing, as an older release
        keeper.recover_sessions(seen := Recorded())
        await wait_until(lambda: node.keepers, "the keeper")
        store = RecoveryStore(nodes[0][1].node_id, Recovery(), 10.0, Counter(), asyncio.get_running_loop().time)
        store.suspend(session("p"))
        sender = CopySender(node, store, 1 << 20)
        await sender.send_changes()
        await wait_until(lambda: seen.messages, "the copies")
        assert [row[1] for row in unpack_list(seen.messages[0].rows)] == ["p"]
        keeper.stop_keeping_sessions()
        await wait_until(lambda: not node.keepers, "the end")
        await sender.send_changes()
        await wait_until(lambda: len(seen.messages) == 2, "the end of the copies")
        assert seen.messages[1].replace and unpack_list(seen.messages[1].rows) == []
        assert store.changed is None and unasked.messages == []


async def test_a_failure_is_reported_and_does_not_end_the_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zmqio.cluster.session_copies.INTERVAL_S", 0.01)
    async with started_factories(2, MemoryNetwork()) as ((factory, identity), (other, _)):
        node = factory._running_node()
        other._running_node().recover_sessions(Recorded())
        store = RecoveryStore(identity.node_id, Recovery(), 10.0, Counter(), asyncio.get_running_loop().time)
        broken = session("p")
        broken.data = 5  # type: ignore[assignment]
        store.suspended._by_pid["p"] = type("Suspension", (), {"session": broken})()
        running = asyncio.create_task(CopySender(node, store, 1 << 20).run())
        await wait_until(lambda: node.diagnostics.counters["session_copies_failed"] >= 1, "a failure")
        assert not running.done()
        running.cancel()
