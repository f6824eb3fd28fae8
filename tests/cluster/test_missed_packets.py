"""The packets that clients missed, between two nodes without servers."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio

from tests.support.memory_bus import MemoryNetwork
from tests.support.memory_nodes import started_factories
from tests.support.session_pair import Pair, join, join_all, suspend
from tests.support.timing import wait_until
from zmqio.cluster.factory import ClusterAdapterFactory
from zmqio.config import BusOptions
from zmqio.ids import NodeId, Sid
from zmqio.protocol.messages import AckCount
from zmqio.recovery.session import RecoverableSession, Returning
from zmqio.recovery.vector import log_key


@pytest_asyncio.fixture
async def pair() -> AsyncIterator[Pair]:
    async with started_factories(2, MemoryNetwork()) as nodes:
        yield await join_all(nodes)


async def test_private_packets_come_from_the_holder_only(pair: Pair) -> None:
    (_, holder), (asker, store) = pair
    recorder = holder.recorder("/")
    session = suspend(holder, "n000pid", start=recorder.vector())
    recorder.sent(("private",), frozenset("r"))
    recorder.sent(("public",), frozenset("r")).bus_number = 4
    other = RecoverableSession("another", "/", Sid(""), ("r",), {}, store.clock(), session.start, 0)
    answer = await asker.missed(Returning(other, {}))
    assert [packet.frames for packet in answer.packets] == [("public",)]
    found = await asker.find("/", "n000pid", None)
    assert isinstance(found, Returning)
    answer = await asker.missed(found)
    assert [packet.frames for packet in answer.packets] == [("private",), ("public",)]
    assert answer.complete and answer.gaps == []
    assert answer.upto[log_key(holder.node_id)] == holder.log.newest


async def test_dropped_packets_are_told(pair: Pair) -> None:
    (_, holder), (asker, store) = pair
    recorder = holder.recorder("/")
    recorder.sent(("public",), frozenset("r")).bus_number = 4
    recorder.sent(("x" * holder.options.max_log_bytes,), None)
    session = RecoverableSession("p", "/", Sid(""), ("r",), {}, store.clock() - 60, {}, 0)
    answer = await asker.missed(Returning(session, {holder.node_id: 3}))
    assert not answer.complete


async def test_a_node_that_does_not_recover_sessions_is_a_gap() -> None:
    async with started_factories(2, MemoryNetwork()) as ((factory, identity), (_, other)):
        asker, store = join(factory, identity.node_id)
        session = RecoverableSession("p", "/", Sid(""), ("r",), {}, store.clock(), {}, 0)
        assert (await asker.missed(Returning(session, {}))).gaps == [other.node_id]
        upto = {other.node_id: 10**6}
        assert (await asker.missed(Returning(session, upto))).gaps == []


async def test_a_node_that_died_is_a_gap_unless_the_client_has_all_it_sent() -> None:
    network = MemoryNetwork()
    options = BusOptions(heartbeat_s=0.05, dead_after_s=0.3)
    async with started_factories(2, network, options) as ((factory, identity), (other, other_identity)):
        asker, store = join(factory, identity.node_id)
        other._running_node().outbox.send_to(identity.node_id, AckCount(10**6, 0))
        await wait_until(lambda: _number_of(factory, other_identity.node_id) == 1, "the message")
        network.buses[1].close_sync()
        await wait_until(lambda: not factory._running_node().peers, "the death")
        session = RecoverableSession("p", "/", Sid(""), ("r",), {}, store.clock(), {}, 0)
        assert (await asker.missed(Returning(session, {other_identity.node_id: 0}))).gaps == [
            other_identity.node_id
        ]
        assert (await asker.missed(Returning(session, {other_identity.node_id: 1}))).gaps == []


async def test_a_node_that_has_just_started_meets_the_others_before_it_asks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    network = MemoryNetwork()
    async with AsyncExitStack() as stack:
        ((factory, identity),) = await stack.enter_async_context(started_factories(1, network))
        asker, store = join(factory, identity.node_id)
        node = factory._running_node()

        async def discovered() -> None:
            (other,) = await stack.enter_async_context(started_factories(1, network, first=1))
            join(other[0], other[1].node_id)
            await wait_until(lambda: node.peers, "the other node")

        monkeypatch.setattr(node.unicast, "discovered", discovered)
        session = RecoverableSession("p", "/", Sid(""), ("r",), {}, store.clock(), {}, 0)
        answer = await asker.missed(Returning(session, {"n001-node-number": 0}))
        assert answer.gaps == [] and answer.upto["=n001-node-number"] == 0


def _number_of(factory: ClusterAdapterFactory, node_id: NodeId) -> int | None:
    return factory._running_node().highest_number_of(node_id)


async def test_a_packet_that_many_clients_missed_is_sent_once(pair: Pair) -> None:
    (_, holder), (asker, store) = pair
    start = holder.recorder("/").vector()
    for number in range(3):
        holder.recorder("/").sent((f"{number}" + 100_000 * "x",), frozenset("r")).bus_number = number + 1
    clients = [
        RecoverableSession(f"n000{number:016}", "/", Sid(""), ("r",), {}, store.clock(), start, 0)
        for number in range(100)
    ]
    received = asker._node.diagnostics.counters["bytes_received"]
    answers = await asyncio.gather(*(asker.missed(Returning(client, dict(start))) for client in clients))
    assert all([packet.frames[0][0] for packet in answer.packets] == ["0", "1", "2"] for answer in answers)
    assert asker._node.diagnostics.counters["bytes_received"] - received < 1_000_000
