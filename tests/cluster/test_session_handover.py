"""The handover of one node to another, without servers."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from tests.support.memory_bus import MemoryNetwork
from tests.support.memory_nodes import started_factories
from tests.support.session_pair import Pair, join, join_all, suspend
from tests.support.timing import wait_until
from zmqio.cluster.session_handover import MAX_SESSION_BYTES
from zmqio.recovery.session import Returning
from zmqio.recovery.store import RecoveryStore


@pytest_asyncio.fixture
async def pair() -> AsyncIterator[Pair]:
    async with started_factories(2, MemoryNetwork()) as nodes:
        yield await join_all(nodes)


def pids_of(store: RecoveryStore) -> list[str]:
    return [session.pid for session in store.suspended]


async def test_sessions_and_packets_are_given_to_the_other_node(pair: Pair) -> None:
    (leaving, left), (_, keeper) = pair
    recorder = left.recorder("/")
    session = suspend(left, "n000pid", start=recorder.vector())
    recorder.sent(("private",), frozenset("r"))
    recorder.sent(("public",), frozenset("r")).bus_number = 4
    await leaving.hand_over()
    await wait_until(lambda: keeper.archives, "the packets")
    returning = keeper.claim("/", "n000pid", None)
    assert isinstance(returning, Returning)
    assert [packet.frames for packet in returning.session.inherited] == [("private",)]
    (archived,) = keeper.missed_of_archives(returning.session, session.start)
    assert [packet.frames for packet in archived.packets or ()] == [("public",)]


async def test_a_node_leaves_after_the_other_one_has_read_its_sessions(pair: Pair) -> None:
    (leaving, left), (_, keeper) = pair
    suspend(left, "n000pid")
    with capture_logs() as logs:
        await leaving.hand_over()
    assert pids_of(keeper) == ["n000pid"] and keeper.archives
    assert [line["confirmed"] for line in logs if line["event"] == "sessions_handed_over"] == [True]


async def test_a_node_does_not_wait_for_ever_for_the_other_one(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    (leaving, left), (keeper, _) = pair
    suspend(left, "n000pid")
    monkeypatch.setattr("zmqio.cluster.session_handover.CONFIRM_S", 0.01)
    monkeypatch.setattr(keeper, "received", lambda sender, message: None)
    with capture_logs() as logs:
        await leaving.hand_over()
    assert [line["confirmed"] for line in logs if line["event"] == "sessions_handed_over"] == [False]


async def test_a_session_that_is_too_large_is_left_out(pair: Pair) -> None:
    (leaving, left), (_, keeper) = pair
    suspend(left, "n000large", data={"a": MAX_SESSION_BYTES * "x"})
    suspend(left, "n000small")
    await leaving.hand_over()
    await wait_until(lambda: keeper.archives, "the end")
    assert pids_of(keeper) == ["n000small"]


async def test_nodes_that_keep_no_sessions_are_left_out() -> None:
    async with started_factories(4, MemoryNetwork()) as nodes:
        (leaving, left), (_, keeper) = await join_all([nodes[0], nodes[2]])
        suspend(left, "n000pid")
        await leaving.hand_over()
        await wait_until(lambda: len(keeper.suspended), "the session")


async def test_two_nodes_that_stop_at_once_hand_over_to_a_third() -> None:
    async with started_factories(3, MemoryNetwork()) as nodes:
        joined = await join_all(nodes)
        for exchange, store in joined[:2]:
            suspend(store, f"{store.tag}pid")
            await exchange.hand_over()  # the first one does not know yet that the second stops, too
        keeper = joined[2][1]
        await wait_until(lambda: len(keeper.suspended) == 2, "both sessions")
        await wait_until(lambda: len(keeper.archives) == 2, "the packets of both")
        assert sorted(pids_of(keeper)) == ["n000pid", "n001pid"]


async def test_the_last_of_the_nodes_that_keep_sessions_hands_over_nothing() -> None:
    async with started_factories(2, MemoryNetwork()) as nodes:
        ((leaving, left),) = await join_all(nodes[:1])
        suspend(left, "n000pid")
        sent = nodes[0][0]._running_node().outbox.newest_number
        await leaving.hand_over()
        assert pids_of(left) == ["n000pid"]
        assert nodes[0][0]._running_node().outbox.newest_number == sent


async def test_the_last_node_keeps_what_it_has() -> None:
    async with started_factories(1, MemoryNetwork()) as ((factory, identity),):
        leaving, left = join(factory, identity.node_id)
        suspend(left, "n000pid")
        await leaving.hand_over()
        assert pids_of(left) == ["n000pid"]
