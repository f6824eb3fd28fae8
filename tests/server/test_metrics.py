"""The metrics of a server equal what a scripted load did."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import zmqio
from tests.support.asgi import FakeWebSocket, http
from tests.support.memory_bus import MemoryNetwork
from tests.support.prometheus import parse_values
from tests.support.timing import wait_until
from zmqio.cluster.factory import ClusterAdapterFactory

POLLING = "EIO=4&transport=polling"


def values(io: zmqio.Server) -> dict[str, float]:
    return parse_values(io.metrics())


async def open_websocket(io: zmqio.Server, namespace: str = "/") -> FakeWebSocket:
    socket = FakeWebSocket(io.asgi(), "EIO=4&transport=websocket")
    await socket.receive()
    socket.send("40" if namespace == "/" else f"40{namespace},")
    await socket.receive()
    return socket


@asynccontextmanager
async def two_nodes() -> AsyncIterator[tuple[zmqio.Server, zmqio.Server]]:
    network = MemoryNetwork()
    nodes = [
        zmqio.Server(ClusterAdapterFactory(lambda _identity, tag=tag: network.bus(tag)), node_tag=tag)
        for tag in ("one1", "two2")
    ]
    async with nodes[0], nodes[1]:
        await wait_until(lambda: all(node.server_count() == 2 for node in nodes), "two nodes")
        yield nodes[0], nodes[1]


async def test_a_server_that_does_not_run_says_so() -> None:
    found = values(zmqio.Server(None))
    assert found.pop("zmqio_ready") == 0
    assert [name.split("{")[0] for name in found if not name.startswith("zmqio_http_")] == ["zmqio_build_info"]


async def test_sessions_sockets_and_rooms() -> None:
    async with zmqio.Server(None) as io:
        io.of("/chat")

        @io.of("/chat").on("connect")
        async def connect(socket: zmqio.Socket) -> None:
            await socket.join(["lobby", f"of {socket.id}"])

        for _ in range(2):
            await open_websocket(io, "/chat")
        left = await open_websocket(io)
        await http(io.asgi(), "GET", POLLING)
        assert {name: value for name, value in values(io).items() if "{" in name and "version" not in name} == {
            "zmqio_sessions{transport=polling}": 1,
            "zmqio_sessions{transport=websocket}": 3,
            "zmqio_sockets{namespace=/}": 1,
            "zmqio_sockets{namespace=/chat}": 2,
            "zmqio_rooms{namespace=/}": 0,
            "zmqio_rooms{namespace=/chat}": 3,
        }
        left.close()
        await wait_until(lambda: values(io)["zmqio_sessions{transport=websocket}"] == 2, "the end of a session")
        assert values(io)["zmqio_engine_sessions_opened_total"] == 4
        assert values(io)["zmqio_engine_sessions_closed_total"] == 1


async def test_upgraded_session_counts_as_websocket() -> None:
    async with zmqio.Server(None) as io:
        opened = await http(io.asgi(), "GET", POLLING)
        sid = re.search(r'"sid":"([^"]+)"', opened.text)
        assert sid is not None
        socket = FakeWebSocket(io.asgi(), f"EIO=4&transport=websocket&sid={sid[1]}")
        socket.send("2probe")
        assert await socket.receive() == "3probe"
        socket.send("5")
        await wait_until(lambda: values(io)["zmqio_engine_sessions_upgraded_total"] == 1, "the upgrade")
        assert values(io)["zmqio_sessions{transport=websocket}"] == 1
        assert values(io)["zmqio_sessions{transport=polling}"] == 0
        socket.close()
        await wait_until(lambda: values(io)["zmqio_engine_sessions_closed_total"] == 1, "the end of the session")
        assert values(io)["zmqio_sessions{transport=websocket}"] == 0


async def test_dynamic_namespaces_are_one_label() -> None:
    async with zmqio.Server(None) as io:
        io.of(re.compile("^/room-"))
        for number in range(5):
            await open_websocket(io, f"/room-{number}")
        sockets = {name: value for name, value in values(io).items() if name.startswith("zmqio_sockets")}
        assert sockets == {"zmqio_sockets{namespace=/}": 0, "zmqio_sockets{namespace=(dynamic)}": 5}


async def test_a_node_of_a_cluster() -> None:
    async with two_nodes() as (one, _two):
        await one.emit("news", 1)
        found = values(one)
        assert (found["zmqio_nodes"], found["zmqio_brokers_connected"]) == (2, 1)
        assert found["zmqio_replay_ring_messages"] == 1
        assert found["zmqio_replay_ring_bytes"] > 0
        assert (found["zmqio_unsent_messages"], found["zmqio_relay_requests_open"]) == (0, 0)
        assert found["zmqio_bus_gaps_total"] == found["zmqio_relay_polls_served_total"] == 0


async def test_counters_are_those_of_the_health_report() -> None:
    async with zmqio.Server(None) as io:
        socket = await open_websocket(io)
        socket.send('42["unknown"]')
        await wait_until(lambda: values(io)["zmqio_server_events_unhandled_total"] == 1, "the count")
        assert io.health().details["counters"]["server"]["events_unhandled"] == 1


async def test_traffic_of_clients_is_counted_exactly() -> None:
    async with zmqio.Server(None) as io:

        @io.on("echo")
        async def echo(socket: zmqio.Socket, text: str) -> None:
            await socket.emit("back", text)

        clients = [await open_websocket(io) for _ in range(3)]
        for client in clients:
            client.send('42["echo","abc"]')
            assert await client.receive() == '42["back","abc"]'
        await io.emit("news", 1)
        found = values(io)
        assert found["zmqio_server_events_received_total"] == 3
        assert found["zmqio_server_bytes_received_total"] == 3 * (len("0") + len('2["echo","abc"]'))
        assert found["zmqio_server_handlers_run_total"] == 3
        assert found["zmqio_server_handler_seconds_total"] > 0
        assert found["zmqio_server_broadcasts_delivered_total"] == 1
        assert found["zmqio_server_events_sent_total"] == 3 + 3
        assert found["zmqio_server_bytes_sent_total"] == 3 * (len('42["back","abc"]') + len('42["news",1]'))


async def test_traffic_of_the_bus_is_counted_exactly() -> None:
    async with two_nodes() as (one, two):
        await open_websocket(two)
        before = values(two)["zmqio_bus_messages_received_total"]
        for _ in range(5):
            await one.emit("news", 1)
        await wait_until(lambda: values(two)["zmqio_server_events_sent_total"] == 5, "the deliveries")
        assert values(one)["zmqio_bus_messages_published_total"] == 5
        assert values(one)["zmqio_server_events_sent_total"] == 0
        assert values(two)["zmqio_bus_messages_received_total"] >= before + 5
        assert values(two)["zmqio_bus_messages_published_total"] == 0
        assert values(two)["zmqio_bus_bytes_received_total"] >= values(one)["zmqio_bus_bytes_published_total"] > 0


async def test_lag_of_the_loop_is_measured_while_the_server_runs() -> None:
    async with zmqio.Server(None) as io:
        await wait_until(lambda: values(io)["zmqio_server_loop_lag_checks_total"] >= 1, "a measurement")
        assert values(io)["zmqio_server_loop_lag_seconds_total"] >= 0
