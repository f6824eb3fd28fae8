"""A client is never told that it has missed nothing when nodes no longer keep what it missed."""

import time
from types import SimpleNamespace

import pytest

from tests.server.test_session_moves import join_room
from tests.support.fake_engine import Harness
from tests.support.memory_nodes import memory_nodes
from tests.support.reader import Reader
from tests.support.timing import wait_until
from zmqio.config import Recovery


class Clock:
    """The clock of the servers, which a test sets forward."""

    def __init__(self) -> None:
        self._ahead_s = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self._ahead_s

    def forward(self, seconds: float, nodes: list[Harness]) -> None:
        """Set the clock forward, and let the nodes drop what is too old."""
        self._ahead_s += seconds
        for node in nodes:
            assert node.runtime.recovery is not None
            node.runtime.recovery.expire()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("zmqio.server.runtime.time", SimpleNamespace(monotonic=clock.monotonic))
    return clock


async def say(node: Harness, number: int, reader: Reader) -> None:
    """Send to the room, and wait until the reader's node has it."""
    expected = len(reader.session.sent) + 1
    await node.of("/").to("room").emit("n", number)
    await wait_until(lambda: len(reader.session.sent) >= expected, f"event {number}")


async def lost_reader(first: Harness, second: Harness) -> Reader:
    """A client of the first node that has one event, and has missed another one of the second node."""
    join_room(first)
    reader, stays = Reader(first), Reader(first)
    await reader.connect()
    await stays.connect()
    await say(second, 1, reader)
    reader.read()
    await reader.lose()
    await say(second, 2, stays)
    return reader


def numbers(reader: Reader) -> list[int]:
    return [event[1] for event in reader.events]


async def test_a_client_that_never_receives_what_it_missed_is_told_when_that_is_too_old(clock: Clock) -> None:
    async with memory_nodes(2, recovery=Recovery()) as nodes:
        reader = await lost_reader(*nodes)
        clock.forward(60, nodes)
        await reader.connect(read=0)
        await reader.lose()
        clock.forward(60, nodes)
        await reader.connect(read=0)
        await reader.lose()
        clock.forward(100, nodes)
        await reader.connect()
        assert not reader.recovered
        assert nodes[0].runtime.counters["recovery_packets_dropped"] == 1


@pytest.mark.parametrize("live", [False, True])
async def test_a_client_that_receives_what_it_missed_may_break_for_ever(clock: Clock, live: bool) -> None:
    async with memory_nodes(2, recovery=Recovery()) as nodes:
        reader = await lost_reader(*nodes)
        for turn in range(5):
            clock.forward(60, nodes)
            await reader.connect()
            assert reader.recovered
            if live:
                await say(nodes[1], 100 + turn, reader)
                reader.read()
            await reader.lose()
        clock.forward(60, nodes)
        await reader.connect()
        assert reader.recovered
        assert numbers(reader) == [1, 2, *(range(100, 105) if live else ())]


async def test_a_client_that_misses_nothing_may_break_for_ever(clock: Clock) -> None:
    async with memory_nodes(2, recovery=Recovery()) as nodes:
        reader = Reader(nodes[0])
        await reader.connect()
        for _ in range(5):
            await reader.lose()
            clock.forward(60, nodes)
            await reader.connect(read=1)
            assert reader.recovered


async def test_a_node_that_keeps_packets_for_a_shorter_time_says_that_they_are_gone(clock: Clock) -> None:
    recoveries = (Recovery(), Recovery(max_disconnection_s=1))
    async with memory_nodes(2, recoveries=recoveries) as nodes:
        reader = await lost_reader(*nodes)
        await reader.connect()
        assert reader.recovered and numbers(reader) == [1, 2]
        await reader.lose()
        clock.forward(110, nodes)
        await reader.connect()
        assert not reader.recovered


async def test_so_does_the_keeper_of_such_a_node(clock: Clock) -> None:
    recoveries = (Recovery(), Recovery(max_disconnection_s=1), Recovery())
    async with memory_nodes(3, recoveries=recoveries) as nodes:
        reader = await lost_reader(*nodes[:2])
        clock.forward(110, nodes)
        exchange = nodes[1].runtime.session_exchange
        assert exchange is not None
        await exchange.hand_over()
        await wait_until(lambda: nodes[2].runtime.recovery and nodes[2].runtime.recovery.archives, "the packets")
        await reader.connect(to=nodes[2])
        assert not reader.recovered
