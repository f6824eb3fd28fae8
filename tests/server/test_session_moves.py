"""A client returns to another node than the one that it lost; over a bus in memory."""

import asyncio
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.fake_engine import Harness
from tests.support.memory_bus import Faults, MemoryNetwork
from tests.support.memory_nodes import memory_nodes
from tests.support.reader import Reader
from tests.support.timing import wait_until
from zmqio.config import BusOptions, Recovery
from zmqio.protocol.publish import PublishRequest, encode_request
from zmqio.protocol.topic import room_topic
from zmqio.server.socket import Socket


def join_room(node: Harness) -> None:
    @node.of("/").on("connect")
    async def connect(socket: Socket) -> None:
        if not socket.recovered:
            await socket.join("room")
            socket.data["name"] = "Ada"


async def test_the_session_moves_with_everything_that_was_missed() -> None:
    async with memory_nodes(3, recovery=Recovery()) as (first, second, third):
        join_room(first)
        reader = Reader(first)
        await reader.connect()
        sid = reader.sid
        await first.of("/").to("room").emit("n", 1)
        reader.read()
        await reader.lose()
        for number, node in enumerate((first, second, third, first), 2):
            await node.of("/").to("room").emit("n", number)
        await second.of("/").to(sid).emit("n", 6)
        await reader.connect(to=second)
        assert reader.recovered and reader.sid == sid
        assert sorted(event[1] for event in reader.events) == [1, 2, 3, 4, 5, 6]
        (socket,) = second.of("/").sockets.values()
        assert sorted(socket.rooms) == sorted([sid, "room"]) and socket.data == {"name": "Ada"}
        assert not first.of("/").sockets
        await first.of("/").to(sid).emit("n", 7)  # its id names the first node
        await third.of("/").to(sid).emit("n", 8)
        await wait_until(lambda: len(second.of("/").sockets) == 1 and _has(reader, 8), "both events")
        for node in (first, second, third):
            (found,) = await node.of("/").in_(sid).fetch_sockets()
            assert found.id == sid


def _has(reader: Reader, count: int) -> bool:
    reader.read()
    return len(reader.events) >= count


async def test_what_was_sent_directly_moves_along_even_if_the_client_breaks_again() -> None:
    async with memory_nodes(3, recovery=Recovery()) as (first, second, third):
        reader = Reader(first)
        await reader.connect()
        socket = first.of("/").sockets[reader.sid]
        for number in (1, 2, 3):
            await socket.emit("n", number)
        reader.read(1)
        await reader.lose()
        await reader.connect(read=2, to=second)  # CONNECT, and one event
        assert [event[1] for event in reader.events] == [1, 2]
        await reader.lose()
        await reader.connect(read=0, to=third)  # receives nothing
        await reader.lose()
        await reader.connect(to=first)
        assert [event[1] for event in reader.events] == [1, 2, 3]


async def test_a_request_of_an_outside_service_is_received_once_during_the_move() -> None:
    network = MemoryNetwork()
    async with memory_nodes(2, network, recovery=Recovery()) as (first, second):
        join_room(first)
        reader, stays = Reader(first), Reader(second)
        await reader.connect()
        await stays.connect()
        await second.of("/").sockets[stays.sid].join("room")
        await reader.lose()

        def publish(number: int) -> None:
            request = PublishRequest(rooms=("room",), event="n", args=(number,), id=f"id{number}")
            network.inject(room_topic("zmqio", "/", "room"), encode_request(request))

        publish(1)
        await asyncio.sleep(0.01)
        moving = asyncio.ensure_future(reader.connect(to=second))
        for number in range(2, 20):
            publish(number)
            await asyncio.sleep(0)
        await moving
        publish(20)
        await wait_until(lambda: _has(reader, 20), "all events")
        assert [event[1] for event in reader.events] == list(range(1, 21))


async def test_a_client_whose_session_nobody_has_starts_again() -> None:
    async with memory_nodes(2, recovery=Recovery()) as (first, second):
        reader = Reader(first)
        await reader.connect()
        await reader.lose()
        reader.pid = f"{reader.pid[:-4]}XXXX"
        await reader.connect(to=second)
        assert not reader.recovered
        assert second.runtime.counters["recovery_sessions_unknown"] == 1


async def test_the_old_connection_on_another_node_is_ended() -> None:
    async with memory_nodes(2, recovery=Recovery()) as (first, second):
        reader = Reader(first)
        await reader.connect()
        old = reader.session
        await reader.connect(to=second)
        assert reader.recovered
        assert old.closed_with == "forced close"
        assert not first.of("/").sockets


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["room", "all", "sid", "direct", "volatile", "join", "turn", "break", "break"]),
        st.integers(0, 2),
        st.integers(0, 9),
    ),
    max_size=20,
)


@settings(deadline=None, max_examples=8, suppress_health_check=[HealthCheck.too_slow])
@given(STEPS, st.booleans())
def test_every_event_is_received_once_and_in_each_nodes_order_wherever_the_connection_breaks(
    steps: list[tuple[str, int, int]], slow: bool
) -> None:
    faults = Faults(slow_barrier_turns=20 if slow else 1)
    asyncio.run(_run_history(steps, MemoryNetwork(2 if slow else 1, faults)))


async def _run_history(steps: list[tuple[str, int, int]], network: MemoryNetwork) -> None:
    """Send events from three nodes, break the connection after some packets, and return to any node."""
    async with memory_nodes(3, network, recovery=Recovery()) as nodes:
        for node in nodes:
            join_room(node)
            node.runtime.fanout._slice_members = 1
        crowd = [Reader(node) for node in nodes]
        for member in crowd:
            await member.connect()
        at, reader = 0, Reader(nodes[0])
        await reader.connect()
        expected: dict[int, int] = {}
        for number, (step, chosen, most) in enumerate(steps):
            sender = at if step == "direct" else chosen
            io = nodes[sender].of("/")
            if step == "break":
                reader.read(most)
                await reader.lose()
                at = sender
                await reader.connect(read=most, to=nodes[at])
            elif step == "direct":
                await nodes[at].of("/").sockets[reader.sid].emit("n", number)
            elif step == "join":
                await io.in_("room").sockets_join(f"new-{number}")
            elif step == "turn":
                for _ in range(most):
                    await asyncio.sleep(0)
            else:
                target = {"room": io.to("room"), "all": io, "sid": io.to(reader.sid), "volatile": io.volatile}
                await target[step].emit("n", number)
            if step in ("room", "all", "sid", "direct"):
                expected[number] = sender
        await _quiet(nodes)
        reader.read(1)
        await reader.lose()
        await reader.connect(to=nodes[0])
        await _quiet(nodes)
        reader.read()
        received = [event[1] for event in reader.events]
        lossless = [number for number in received if steps[number][0] != "volatile"]
        assert sorted(lossless) == sorted(expected)
        for node in range(3):
            of_node = [number for number in lossless if expected[number] == node]
            assert all(first < second for first, second in pairwise(of_node))
        (socket,) = [node.of("/").sockets[reader.sid] for node in nodes if reader.sid in node.of("/").sockets]
        assert socket.recovered and socket.recovery_gaps == ()


async def _quiet(nodes: list[Harness]) -> None:
    """Wait until all messages under way have arrived, and all slices are written."""
    for _ in range(2):
        for node in nodes:
            await node.of("/").adapter.rooms(20)
    await wait_until(lambda: not any(node.runtime.fanout.busy for node in nodes), "the end of the slices")


@pytest.mark.parametrize("to", [1, 2])
async def test_the_session_of_a_node_that_stops_is_recovered_elsewhere(to: int) -> None:
    async with memory_nodes(3, recovery=Recovery()) as nodes:
        first, second, third = nodes
        join_room(first)
        reader = Reader(first)
        await reader.connect()
        socket = first.of("/").sockets[reader.sid]
        await first.of("/").to("room").emit("n", 1)
        reader.read()
        await socket.emit("n", 2)
        await third.of("/").to("room").emit("n", 3)
        await wait_until(lambda: len(reader.session.sent) == 4, "three events")
        reader.read(1)
        await reader.lose("server shutting down")
        await first.of("/").to("room").emit("n", 4)
        await second.of("/").to("room").emit("n", 5)
        await stop(first)
        await wait_until(lambda: second.of("/").adapter.server_count() == 2, "the end of the first node")
        await third.of("/").to("room").emit("n", 6)
        await reader.connect(read=3, to=nodes[to])
        assert reader.recovered
        await reader.lose()
        await reader.connect(to=nodes[3 - to])
        assert reader.recovered
        (socket,) = nodes[3 - to].of("/").sockets.values()
        assert socket.recovery_gaps == () and socket.data == {"name": "Ada"}
        received = [event[1] for event in reader.events]
        assert sorted(received) == [1, 2, 3, 4, 5, 6]
        assert [number for number in received if number in (1, 2, 4)] == [1, 2, 4]


async def test_sessions_outlive_two_stops_in_a_row() -> None:
    async with memory_nodes(3, recovery=Recovery()) as (first, second, third):
        join_room(first)
        reader = Reader(first)
        await reader.connect()
        await first.of("/").to("room").emit("n", 1)
        reader.read()
        await reader.lose("server shutting down")
        await first.of("/").to("room").emit("n", 2)
        await stop(first)
        await wait_until(lambda: second.of("/").adapter.server_count() == 2, "the end of the first node")
        await second.of("/").to("room").emit("n", 3)
        await stop(second)
        await wait_until(lambda: third.of("/").adapter.server_count() == 1, "the end of the second node")
        await third.of("/").to("room").emit("n", 4)
        await reader.connect(to=third)
        assert reader.recovered
        assert sorted(event[1] for event in reader.events) == [1, 2, 3, 4]


async def test_a_node_without_the_option_is_not_chosen_when_another_stops() -> None:
    async with memory_nodes(3, recoveries=(Recovery(), False, Recovery())) as (first, plain, third):
        join_room(first)
        reader = Reader(first)
        await reader.connect()
        await first.of("/").to("room").emit("n", 1)
        reader.read()
        await reader.lose("server shutting down")
        await stop(first)
        await wait_until(lambda: third.of("/").adapter.server_count() == 2, "the end of the first node")
        await third.of("/").to("room").emit("n", 2)
        await reader.connect(to=third)
        assert reader.recovered
        assert [event[1] for event in reader.events] == [1, 2]
        (socket,) = third.of("/").sockets.values()
        assert socket.recovery_gaps == (plain.runtime.identity.node_id,) and socket.data == {"name": "Ada"}


async def stop(node: Harness) -> None:
    """Stop a node whose clients have gone."""
    assert node.runtime.session_exchange is not None
    await node.runtime.session_exchange.hand_over()
    await node.of("/").close()
    await node.factory.close()


async def test_a_node_that_started_after_a_death_names_the_dead_node() -> None:
    network = MemoryNetwork()
    bus = BusOptions(heartbeat_s=0.05, dead_after_s=0.5)
    async with memory_nodes(2, network, bus, recovery=Recovery()) as (first, second):
        join_room(first)
        reader = Reader(first)
        await reader.connect()
        await second.of("/").to("room").emit("n", 1)
        await wait_until(lambda: _has(reader, 1), "the first event")
        await reader.lose()
        await second.of("/").to("room").emit("n", 2)
        network.kill(second.runtime.identity.node_id)
        await wait_until(lambda: first.of("/").adapter.server_count() == 1, "the death")
        async with memory_nodes(1, network, bus, recovery=Recovery(), first=2) as (third,):
            node = third.factory._running_node()
            await wait_until(lambda: node.peers, "the node that lives")
            await reader.connect(to=third)
            assert reader.recovered and len(reader.events) == 1
            (socket,) = third.of("/").sockets.values()
            assert socket.recovery_gaps == (second.runtime.identity.node_id,)


@pytest.mark.parametrize("neighbor", [Recovery(), False])
async def test_the_session_of_a_node_that_died_is_continued_by_another(neighbor: Recovery | bool) -> None:
    network = MemoryNetwork()
    bus = BusOptions(heartbeat_s=0.05, dead_after_s=0.5)
    recoveries = (Recovery(), neighbor, Recovery())
    async with memory_nodes(3, network, bus, recoveries=recoveries) as (first, second, third):
        join_room(first)
        reader = Reader(first)
        await reader.connect()
        await third.of("/").to("room").emit("n", 1)
        await wait_until(lambda: _has(reader, 1), "the first event")
        exchange = first.runtime.session_exchange
        assert exchange is not None
        await exchange.send_copies()
        first.of("/").sockets[reader.sid].data["later"] = 2
        await exchange.send_copies()
        await third.of("/").to("room").emit("n", 2)
        await wait_until(lambda: _has(reader, 2), "the second event")
        await _quiet([first, second, third])
        network.kill(first.runtime.identity.node_id)
        await third.of("/").to("room").emit("n", 3)
        await reader.connect(to=third)  # before its death is known
        assert reader.recovered
        assert [event[1] for event in reader.events] == [1, 2, 3]
        (socket,) = third.of("/").sockets.values()
        assert socket.data == {"name": "Ada", "later": 2} and "room" in socket.rooms
        gaps = [first, *([] if neighbor else [second])]
        assert socket.recovery_gaps == tuple(node.runtime.identity.node_id for node in gaps)
