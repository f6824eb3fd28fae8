"""Broadcasts over three nodes to the official JavaScript client and python-socketio's, over every transport."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.conftest import ClientMaker
from tests.support.clients import TRANSPORTS, SocketClient
from tests.support.cluster import Cluster
from tests.support.timing import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="session")

LIBRARIES = ("js", "py")
MESSAGES_A_NODE = 30


def message(node: int, number: int) -> dict[str, Any]:
    """Text and binary in turn; some text would break naive framing."""
    text = f'{number} \u2028 "\\" \x1e \U0001f600'
    return {"node": node, "number": number, "data": bytes([number, 0, 255, 30]) if number % 2 else text}


async def join_everywhere(make: ClientMaker, cluster: Cluster, room: str, ways: list[str]) -> list[SocketClient]:
    """One client of each library and way at each node, all in `room`."""
    clients = [make(library, node.url, way) for node in cluster.nodes for library in LIBRARIES for way in ways]
    await asyncio.gather(*(client.connect() for client in clients))
    await asyncio.gather(*(client.wait_upgraded() for client in clients if "upgrade" in client.name))
    outcomes = await asyncio.gather(*(client.call("join", room) for client in clients))
    assert outcomes == ["ok"] * len(clients)
    return clients


async def speak_from_every_node(clients: list[SocketClient], cluster: Cluster, room: str) -> None:
    """Send from every node at the same time: its messages back to back, then its end mark."""

    async def speak(speaker: SocketClient, node: int) -> None:
        for number in range(MESSAGES_A_NODE):
            await speaker.emit("say", room, "news", message(node, number))
        assert await speaker.call("say", room, "news", {"node": node, "number": -1}) == "ok"

    speakers = clients[:: len(clients) // len(cluster.nodes)]
    await asyncio.gather(*(speak(speaker, node) for node, speaker in enumerate(speakers)))


def check_once_and_in_order(client: SocketClient, nodes: int) -> None:
    """Check that the messages of every node arrived once and in order."""
    received = [args[0] for args in client.received.named("news")]
    for node in range(nodes):
        mine = [value for value in received if value["node"] == node]
        expected = [message(node, number) for number in range(MESSAGES_A_NODE)]
        assert mine == [*expected, {"node": node, "number": -1}], client


def ended(client: SocketClient, nodes: int) -> Callable[[], object]:
    """Whether the end mark of every node has arrived, or the client was disconnected."""
    return lambda: (
        client.received.disconnects
        or sum(args[0]["number"] == -1 for args in client.received.named("news")) >= nodes
    )


@pytest.mark.parametrize("ways", [*([way] for way in TRANSPORTS), list(TRANSPORTS)], ids="+".join)
async def test_a_broadcast_from_each_node_reaches_all_once_and_in_order(
    cluster: Cluster, make_client: ClientMaker, ways: list[str]
) -> None:
    room = "news " + "+".join(ways)
    clients = await join_everywhere(make_client, cluster, room, ways)
    await speak_from_every_node(clients, cluster, room)
    for client in clients:
        await wait_until(ended(client, len(cluster.nodes)), f"the end at {client} or its disconnect")
        assert client.received.disconnects == [], client
        check_once_and_in_order(client, len(cluster.nodes))
        expected = "polling" if "polling" in client.name else "websocket"
        assert await client.transport() == expected


@pytest.mark.parametrize("library", LIBRARIES)
async def test_no_message_is_lost_or_duplicated_while_a_client_upgrades(
    cluster: Cluster, make_client: ClientMaker, library: str
) -> None:
    room = f"upgrading {library}"
    speaker = make_client("js", cluster[0].url, "websocket")
    await speaker.connect()
    listeners = [make_client(library, node.url, "upgrade") for node in cluster.nodes[1:] for _ in range(3)]
    sent = 0
    connecting = asyncio.gather(*(connect_and_join(listener, room) for listener in listeners))
    while not connecting.done() or sent < 300:
        await speaker.call("say", room, "tick", sent, bytes([sent % 256]))
        sent += 1
    await connecting
    for number in range(sent, sent + 5):  # the last one to join may have missed all before
        await speaker.call("say", room, "tick", number, bytes([number % 256]))
    sent += 5
    await speaker.call("say", room, "stop")
    for listener in listeners:
        await listener.wait_for("stop")
        numbers = [number for number, _ in listener.received.named("tick")]
        assert numbers == list(range(numbers[0], sent)), listener
        assert await listener.transport() == "websocket"


async def connect_and_join(client: SocketClient, room: str) -> None:
    await client.connect()
    assert await client.call("join", room) == "ok"
    await client.wait_upgraded()


@pytest.mark.parametrize("library", LIBRARIES)
async def test_a_message_to_a_sid_reaches_only_its_socket_from_any_node(
    cluster: Cluster, make_client: ClientMaker, library: str
) -> None:
    clients = [make_client(library, node.url, way) for node in cluster.nodes for way in ("polling", "websocket")]
    await asyncio.gather(*(client.connect() for client in clients))
    for speaker in clients[::2]:
        for listener in clients:
            assert await speaker.call("say", listener.sid, "secret", speaker.sid, listener.sid) == "ok"
    speakers = [speaker.sid for speaker in clients[::2]]
    for listener in clients:
        received = await listener.wait_for("secret", len(speakers))
        assert sorted(received) == sorted([speaker, listener.sid] for speaker in speakers)


async def test_a_broadcast_to_all_stays_in_its_namespace(cluster: Cluster, make_client: ClientMaker) -> None:
    main = [make_client("js", node.url, "websocket") for node in cluster.nodes]
    chat = [
        make_client(library, node.url, "polling", namespace="/chat")
        for node, library in zip(cluster.nodes, ("js", "py", "js"), strict=True)
    ]
    await asyncio.gather(*(client.connect() for client in [*main, *chat]))
    await chat[0].call("say_all", "hello", "chat")
    await main[1].call("say_all", "hello", "main")
    for client in main:
        assert await client.wait_for("hello") == [["main"]]
    for client in chat:
        assert await client.wait_for("hello") == [["chat"]]


async def test_a_socket_that_left_a_room_receives_no_more_messages_of_it(
    cluster: Cluster, make_client: ClientMaker
) -> None:
    stays, leaves = (make_client("js", cluster[1].url, "websocket") for _ in range(2))
    speaker = make_client("py", cluster[2].url, "websocket")
    await asyncio.gather(*(client.connect() for client in (stays, leaves, speaker)))
    for client in (stays, leaves):
        await client.call("join", "fleeting")
    await speaker.call("say", "fleeting", "both", 1)
    await leaves.wait_for("both")
    await leaves.call("leave", "fleeting")
    await speaker.call("say", "fleeting", "one", 2)
    await speaker.call("say", leaves.sid, "end")
    await stays.wait_for("one")
    await leaves.wait_for("end")
    assert leaves.received.named("one") == []
