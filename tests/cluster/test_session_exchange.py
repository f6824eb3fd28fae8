"""The exchange of sessions between two nodes, without servers."""

import asyncio
from collections.abc import AsyncIterator

import pytest_asyncio

from tests.support.memory_bus import MemoryNetwork
from tests.support.memory_nodes import started_factories
from tests.support.session_pair import Pair, join_all, make_store, suspend
from tests.support.timing import wait_until
from zmqio.cluster.handover_rows import pack_session
from zmqio.cluster.requests.rows import pack_rows
from zmqio.cluster.session_exchange import SessionExchange
from zmqio.ids import NodeId
from zmqio.protocol.recovery_messages import SessionCopies
from zmqio.recovery.session import Returning
from zmqio.recovery.store import ClaimFailure


@pytest_asyncio.fixture
async def pair() -> AsyncIterator[Pair]:
    async with started_factories(2, MemoryNetwork()) as nodes:
        yield await join_all(nodes)


async def test_a_session_is_given_once(pair: Pair) -> None:
    (_, holder), (asker, _) = pair
    suspend(holder, "n000pid", data={"a": 1})
    found = await asker.find("/", "n000pid", None)
    assert isinstance(found, Returning) and found.session.data == {"a": 1}
    assert await asker.find("/", "n000pid", None) is ClaimFailure.SESSION_UNKNOWN


async def test_an_unknown_offset_is_told(pair: Pair) -> None:
    (_, holder), (asker, _) = pair
    suspend(holder, "n000pid")
    assert await asker.find("/", "n000pid", "no offset") is ClaimFailure.OFFSET_UNKNOWN


async def test_a_session_that_is_too_large_for_a_message_stays(pair: Pair) -> None:
    (_, holder), (asker, _) = pair
    suspend(holder, "n000pid", data={"a": "x" * (9 << 20)})
    assert await asker.find("/", "n000pid", None) is ClaimFailure.SESSION_UNKNOWN
    assert len(holder.suspended) == 1


async def test_the_sessions_of_many_clients_are_requested_together(pair: Pair) -> None:
    (_, holder), (asker, _) = pair
    pids = [f"n000{number:016}" for number in range(1_000)]
    for pid in pids:
        suspend(holder, pid)
    sent = asker._node.outbox.newest_number
    found = await asyncio.gather(*(asker.find("/", pid, None) for pid in pids))
    assert [returning.session.pid for returning in found if isinstance(returning, Returning)] == pids
    assert asker._node.outbox.newest_number - sent <= 20


async def test_the_session_of_a_client_that_left_in_the_meantime_is_kept(pair: Pair) -> None:
    (_, holder), (asker, store) = pair
    suspend(holder, "n000pid")
    asking = asyncio.ensure_future(asker.find("/", "n000pid", None))
    while len(holder.suspended):  # noqa: ASYNC110 - each turn: the answer takes another one
        await asyncio.sleep(0)
    asking.cancel()
    await wait_until(lambda: len(store.suspended) == 1, "the session to be kept")
    assert isinstance(await asker.find("/", "other", None), ClaimFailure)
    assert isinstance(store.claim("/", "n000pid", None), Returning)


async def copied_to(keeper: SessionExchange, owner: NodeId, pid: str) -> None:
    """Give a node a copy of a session."""
    session = suspend(make_store(owner), pid)
    row = pack_session(session, (), asyncio.get_running_loop().time())
    keeper.received(owner, SessionCopies(replace=False, gone=(), rows=next(pack_rows([row], 1 << 20))))


async def test_a_copy_is_not_used_while_the_owner_lives(pair: Pair) -> None:
    (keeper, _), (asker, store) = pair
    await copied_to(keeper, store.node_id, "n001pid")
    assert await asker.find("/", "n001pid", None) is ClaimFailure.SESSION_UNKNOWN


async def test_a_session_is_requested_again_until_the_death_of_its_owner_is_known_to_all(pair: Pair) -> None:
    (keeper, _), (asker, _) = pair
    await copied_to(keeper, NodeId("dead"), "deadpid")  # the asker no longer knows it
    asking = asyncio.ensure_future(asker.find("/", "deadpid", None))
    sent = asker._node.outbox.newest_number
    await wait_until(lambda: asker._node.outbox.newest_number >= sent + 2, "two requests")
    keeper.node_left(NodeId("dead"), died=True)
    assert isinstance(await asking, Returning)


async def test_a_session_is_requested_again_while_it_is_handed_over() -> None:
    async with started_factories(3, MemoryNetwork()) as nodes:
        (leaving, holder), (_, keeper), (asker, _) = await join_all(nodes)
        suspend(holder, "n000pid")
        await leaving.hand_over()
        await wait_until(lambda: len(keeper.suspended) == 1, "the handover")
        assert isinstance(await asker.find("/", "n000pid", None), Returning)
