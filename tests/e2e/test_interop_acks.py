"""Acknowledgements both ways, with the official JavaScript client and python-socketio's."""

import asyncio
from typing import Any

import pytest

from tests.e2e.conftest import ClientMaker
from tests.support.clients import TRANSPORTS
from tests.support.cluster import Cluster

pytestmark = pytest.mark.asyncio(loop_scope="session")

VALUES: list[list[Any]] = [
    ["text", 1, 2.5, None, True, {"nested": [{"a": "b"}]}],
    [b"\x00\xff", {"deep": [b"one", {"two": b"two"}]}],
    ["\U0001f600 \u2028 \x1e"],
    [b""],
    ["x" * 200_000],
    [bytes(200_000)],
]


@pytest.mark.parametrize("way", TRANSPORTS)
@pytest.mark.parametrize("library", ["js", "py"])
async def test_values_go_to_the_server_and_come_back(
    cluster: Cluster, make_client: ClientMaker, library: str, way: str
) -> None:
    client = make_client(library, cluster[1].url, way)
    await client.connect()
    for values in VALUES:
        answer = await client.call("echo", *values)
        assert answer == (values[0] if len(values) == 1 else values)


@pytest.mark.parametrize("way", TRANSPORTS)
@pytest.mark.parametrize("library", ["js", "py"])
async def test_values_go_to_the_client_and_come_back(
    cluster: Cluster, make_client: ClientMaker, library: str, way: str
) -> None:
    client = make_client(library, cluster[2].url, way)
    await client.connect()
    for values in VALUES:
        answer = await client.call("ask_me", *values)
        assert answer == {"answer": values[0] if len(values) == 1 else values}
    assert client.received.named("question") == VALUES


async def test_a_handler_without_a_result_acknowledges_without_values(
    cluster: Cluster, make_client: ClientMaker
) -> None:
    client = make_client("js", cluster[0].url, "websocket")
    await client.connect()
    assert await client.call("echo") == []


async def test_a_broadcast_collects_the_acknowledgements_of_all_nodes(
    cluster: Cluster, make_client: ClientMaker
) -> None:
    clients = [
        make_client(library, node.url, way)
        for node, library in zip(cluster.nodes, ("js", "py", "js"), strict=True)
        for way in ("polling", "websocket")
    ]
    await asyncio.gather(*(client.connect() for client in clients))
    await asyncio.gather(*(client.call("join", "askers") for client in clients))
    answer = await clients[0].call("ask_room", "askers", {"q": b"\x01"}, "why")
    assert answer == {"answers": [[{"q": b"\x01"}, "why"]] * len(clients)}
