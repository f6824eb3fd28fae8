"""The exchange of sessions between two nodes, without servers."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest_asyncio

from tests.support.memory_bus import MemoryNetwork
from tests.support.memory_nodes import started_factories
from tests.support.timing import wait_until
from zmqio.cluster.factory import ClusterAdapterFactory
from zmqio.cluster.handover_rows import pack_session
from zmqio.cluster.requests.rows import pack_rows
from zmqio.cluster.session_exchange import SessionExchange
from zmqio.config import BusOptions, Recovery
from zmqio.ids import NodeId, Sid
from zmqio.protocol.messages import AckCount
from zmqio.protocol.recovery_messages import SessionCopies, SessionRequest
from zmqio.recovery.session import RecoverableSession, Returning
from zmqio.recovery.store import ClaimFailure, RecoveryStore
from zmqio.recovery.vector import log_key

Pair = list[tuple[SessionExchange, RecoveryStore]]


def make_store(node_id: NodeId) -> RecoveryStore:
    clock = asyncio.get_running_loop().time
    store = RecoveryStore(node_id, Recovery(), 10.0, Counter(), clock)
    store.recorder("/")
    return store


def join(factory: ClusterAdapterFactory, node_id: NodeId) -> tuple[SessionExchange, RecoveryStore]:
    store = make_store(node_id)
    return factory.exchange_sessions(store), store


@pytest_asyncio.fixture
async def pair() -> AsyncIterator[Pair]:
    async with started_factories(2, MemoryNetwork()) as nodes:
        yield [join(factory, identity.node_id) for factory, identity in nodes]


def suspend(store: RecoveryStore, pid: str, **fields: Any) -> RecoverableSession:
    values = {"rooms": ("r",), "data": {}, "connected_at": store.clock(), "start": {}, "held_from": 0, **fields}
    session = RecoverableSession(pid, "/", Sid("sid"), **values)
    store.suspend(session)
    return session


async def test_a_session_is_given_once(pair: Pair) -> None:
    (_, holder), (asker, _) = pair
    suspend(holder, "n000pid", data={"a": 1})
    found = await asker.find("/", "n000pid", None)
    assert isinstance(found, Returning) and found.session.data == {"a": 1}
    assert await asker.find("/", "n000pid", None) is ClaimFailure.SESSION_UNKNOWN


async def test_of_the_requests_for_a_copy_only_the_newest_of_each_node_waits(pair: Pair) -> None:
    (keeper, store), (_, owner_store) = pair
    owner, asker = owner_store.node_id, NodeId("asker")
    row = pack_session(suspend(make_store(owner), "n001pid"), (), store.clock())
    keeper.received(owner, SessionCopies(replace=False, gone=(), rows=next(pack_rows([row], 1 << 20))))
    for request_id in range(100):
        keeper.received(asker, SessionRequest(request_id, "/", "n001pid", ""))
    assert {pid: [*requests] for pid, requests in keeper._waiting.items()} == {"n001pid": [asker]}
    assert keeper._waiting["n001pid"][asker].request_id == 99


async def test_an_unknown_offset_is_told(pair: Pair) -> None:
    (_, holder), (asker, _) = pair
    suspend(holder, "n000pid")
    assert await asker.find("/", "n000pid", "no offset") is ClaimFailure.OFFSET_UNKNOWN


async def test_a_session_that_is_too_large_for_a_message_stays(pair: Pair) -> None:
    (_, holder), (asker, _) = pair
    suspend(holder, "n000pid", data={"a": "x" * (9 << 20)})
    assert await asker.find("/", "n000pid", None) is ClaimFailure.SESSION_UNKNOWN
    assert len(holder.suspended) == 1


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


def _number_of(factory: ClusterAdapterFactory, node_id: NodeId) -> int | None:
    return factory._running_node().highest_number_of(node_id)
