"""Requests of every kind of publisher are delivered to the Socket.IO clients of every node."""

import asyncio
from pathlib import Path

import pytest

from tests.e2e.conftest import ClientMaker
from tests.support.broker import BrokerProcess
from tests.support.clients import SocketClient
from tests.support.cluster import Cluster
from tests.support.senders import FOREIGN_SENDERS, make_sender
from tests.support.timing import LIMIT_S
from zmqio.emitter import AsyncEmitter, Emitter

pytestmark = pytest.mark.asyncio(loop_scope="session")

WAYS = (("js", "websocket"), ("py", "websocket"), ("js", "polling"))
"""Library and transport of the client at each node."""


async def connect_one_each(make: ClientMaker, cluster: Cluster, namespace: str = "/") -> list[SocketClient]:
    """Connect a client to each node, each of another kind."""
    clients = [
        make(library, node.url, way, namespace=namespace)
        for node, (library, way) in zip(cluster.nodes, WAYS, strict=True)
    ]
    await asyncio.gather(*(client.connect() for client in clients))
    return clients


async def everything(clients: list[SocketClient], emitter: AsyncEmitter) -> None:
    """Wait until all earlier messages are delivered: publish a mark, which arrives after them."""
    await emitter.emit("mark")
    await asyncio.gather(*(client.wait_for("mark") for client in clients))


@pytest.mark.parametrize("name", FOREIGN_SENDERS)
async def test_clients_of_every_node_receive_from_a_foreign_sender(
    name: str, broker: BrokerProcess, cluster: Cluster, make_client: ClientMaker, tmp_path: Path
) -> None:
    sender = await asyncio.to_thread(make_sender, name, tmp_path)
    clients = await connect_one_each(make_client, cluster)
    assert [await client.call("join", "lobby") for client in clients[:2]] == ["ok", "ok"]

    done = await asyncio.to_thread(sender.run_until_sent, broker.endpoint("ingest"))
    assert (done.returncode, done.stderr) == (0, "")

    language = FOREIGN_SENDERS[name]
    to_all, to_lobby = [f"JSON from {language}"], [f"msgpack from {language}", b"\0\1\xff"]
    for client in clients[:2]:
        assert await client.wait_for("news", 2) == [to_all, to_lobby]
    async with AsyncEmitter(broker.address, send_timeout_s=LIMIT_S) as emitter:
        await everything(clients, emitter)
    assert clients[2].received.named("news") == [to_all]


async def test_the_example_of_a_synchronous_service_reaches_its_customer(
    broker: BrokerProcess, cluster: Cluster, make_client: ClientMaker, tmp_path: Path
) -> None:
    customer, bystander, in_lobby = await connect_one_each(make_client, cluster)
    await customer.call("join", "customer-ada")
    await in_lobby.call("join", "lobby")
    done = await asyncio.to_thread(make_sender("emitter", tmp_path).run_until_sent, broker.address)
    assert (done.returncode, done.stderr) == (0, "")
    assert await customer.wait_for("shipped") == [[{"order": 1}]]
    assert await bystander.wait_for("news") == [["Emitter in Python"]]
    async with AsyncEmitter(broker.address, send_timeout_s=LIMIT_S) as emitter:
        await everything([customer, bystander, in_lobby], emitter)
    assert bystander.received.named("shipped") == []
    assert in_lobby.received.named("news") == []


async def test_an_emitter_reaches_rooms_excepts_and_single_sockets_once_and_in_order(
    broker: BrokerProcess, cluster: Cluster, make_client: ClientMaker
) -> None:
    clients = await connect_one_each(make_client, cluster)
    first, second, third = clients
    await first.call("join", "a", "b")
    await second.call("join", "b")
    async with AsyncEmitter(broker.address, send_timeout_s=LIMIT_S) as emitter:
        for number in range(50):
            await emitter.to("a").to("b").emit("rooms", number)
            await emitter.except_("b").emit("not b", number)
            await emitter.to(third.sid).emit("you", number, b"\0\xff")
        await everything(clients, emitter)
    numbers = [[number] for number in range(50)]
    assert [client.received.named("rooms") for client in clients] == [numbers, numbers, []]
    assert [client.received.named("not b") for client in clients] == [[], [], numbers]
    you = [[number, b"\0\xff"] for number in range(50)]
    assert [client.received.named("you") for client in clients] == [[], [], you]


async def test_an_emitter_reaches_another_namespace(
    broker: BrokerProcess, cluster: Cluster, make_client: ClientMaker
) -> None:
    chat = await connect_one_each(make_client, cluster, "/chat")
    main = await connect_one_each(make_client, cluster)
    async with AsyncEmitter(broker.address, send_timeout_s=LIMIT_S) as emitter:
        await emitter.of("/chat").emit("news", {"é": None})
        await everything(main, emitter)
    for client in chat:
        assert await client.wait_for("news") == [[{"é": None}]]
    assert [client.received.named("news") for client in main] == [[], [], []]


async def test_an_emitter_moves_and_disconnects_sockets_of_any_node(
    broker: BrokerProcess, cluster: Cluster, make_client: ClientMaker
) -> None:
    clients = await connect_one_each(make_client, cluster)
    first, second, third = clients
    async with AsyncEmitter(broker.address, send_timeout_s=LIMIT_S) as emitter:
        await emitter.to(first.sid, second.sid).sockets_join("moved")
        await _until_member(first, "moved")
        await _until_member(second, "moved")
        await emitter.to(second.sid).sockets_leave("moved")
        await emitter.emit("to the moved, mark")
        await second.wait_for("to the moved, mark")
        assert "moved" not in (await second.call("whoami"))["rooms"]
        await first.call("join", "another")  # completes when the broker has applied "moved", too
        await emitter.to("moved").emit("moved")
        assert await first.wait_for("moved") == [[]]
        await emitter.to(third.sid).disconnect_sockets()
        assert "server disconnect" in await third.wait_disconnect()
        await everything([first, second], emitter)
    assert second.received.named("moved") == []


async def _until_member(client: SocketClient, room: str) -> None:
    ends_at = asyncio.get_running_loop().time() + LIMIT_S
    while room not in (await client.call("whoami"))["rooms"]:
        assert asyncio.get_running_loop().time() < ends_at, f"{client} is not in {room}"


async def test_a_synchronous_emitter_in_a_thread_reaches_clients(
    broker: BrokerProcess, cluster: Cluster, make_client: ClientMaker
) -> None:
    clients = await connect_one_each(make_client, cluster)

    def work() -> None:
        with Emitter(broker.address, send_timeout_s=LIMIT_S) as emitter:
            for number in range(100):
                emitter.emit("news", number)

    await asyncio.to_thread(work)
    for client in clients:
        assert await client.wait_for("news", 100) == [[number] for number in range(100)]
