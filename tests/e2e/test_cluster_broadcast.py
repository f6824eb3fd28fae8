"""Broadcasts: the cases of the official cluster adapters, with three nodes, a broker and JavaScript clients.

Source: @socket.io/cluster-adapter and @socket.io/redis-adapter, `test/index.ts`, "broadcast". Those over fake
sockets are in tests/contracts/test_broadcast.py.
"""

import asyncio

import pytest

from tests.support.cluster_harness import ClusterHarness
from tests.support.cluster_nodes import ClusterNode

pytestmark = pytest.mark.asyncio(loop_scope="session")

ARGS = (1, "2", b"\x00\xff\x1e", {"deep": [None, True, {"bytes": b"3"}]})
MEGABYTE = 1_000_000


async def test_all_clients(harness: ClusterHarness) -> None:
    clients = await harness.connect_each()
    await harness.emit(*ARGS)
    assert await harness.receivers(*ARGS) == set(clients)


async def test_all_clients_of_a_namespace_and_of_no_other(harness: ClusterHarness) -> None:
    await harness.connect_each("room")
    custom = await harness.connect_each("room", namespace="/custom")
    await harness.emit(*ARGS, namespace="/custom")
    assert await harness.receivers(*ARGS) == set(custom)


async def test_room_of_a_namespace_is_not_the_room_of_another(harness: ClusterHarness) -> None:
    await harness.connect_each("room", namespace="/custom")
    await harness.connect(1)
    inside = await harness.connect(2, "room")
    await harness.emit(rooms=["room"])
    assert await harness.receivers() == {inside}


async def test_one_room(harness: ClusterHarness) -> None:
    inside = [await harness.connect(1, "room"), await harness.connect(2, "room")]
    await harness.connect_each("another")
    await harness.emit(rooms=["room"])
    assert await harness.receivers() == set(inside)


async def test_several_rooms_reach_each_client_once(harness: ClusterHarness) -> None:
    inside = [
        await harness.connect(0, "a"),
        await harness.connect(1, "a", "b"),
        await harness.connect(2, "b", "c"),
    ]
    await harness.connect(2, "c")
    await harness.emit(rooms=["a", "b"])
    assert await harness.receivers() == set(inside)


async def test_all_except_a_room(harness: ClusterHarness) -> None:
    clients = await harness.connect_each()
    await harness.connect_each("quiet")
    await harness.emit(except_=["quiet"])
    assert await harness.receivers() == set(clients)


async def test_all_except_one_socket_of_another_node(harness: ClusterHarness) -> None:
    first, second, third = await harness.connect_each()
    await harness.emit(except_=[second.sid])
    assert await harness.receivers() == {first, third}


async def test_room_except_another_room(harness: ClusterHarness) -> None:
    inside = await harness.connect_each("room")
    await harness.connect_each("room", "quiet")
    await harness.emit(rooms=["room"], except_=["quiet"])
    assert await harness.receivers() == set(inside)


async def test_local_reaches_this_node_only(harness: ClusterHarness) -> None:
    here, _, _ = await harness.connect_each("room")
    await harness.emit(local=True, rooms=["room"])
    assert await harness.receivers() == {here}


async def test_volatile_packet_reaches_clients_that_are_ready(harness: ClusterHarness) -> None:
    clients = [await harness.connect(node, way="websocket") for node in range(3)]
    await harness.emit(volatile=True)
    assert await harness.receivers() == set(clients)


async def test_one_socket_of_another_node_by_its_id(harness: ClusterHarness) -> None:
    _, _, third = await harness.connect_each()
    await harness.emit(rooms=[third.sid])
    assert await harness.receivers() == {third}


@pytest.mark.parametrize(
    "room", ["with space", "#hash", "a/b", "/", "ünïcödé ☃ 😀", "", "n", "%00", 'q"\\', "x" * 500]
)
async def test_any_room_name_is_that_room_only(harness: ClusterHarness, room: str) -> None:
    inside = [await harness.connect(node, room) for node in range(2)]
    await harness.connect(2, f"{room}0", f"/{room}", "other")
    await harness.emit(rooms=[room])
    assert await harness.receivers() == set(inside)


@pytest.mark.parametrize(
    "payload", ["x" * MEGABYTE, bytes(MEGABYTE), "☃" * (MEGABYTE // 3)], ids=["text", "binary", "utf8"]
)
async def test_one_megabyte_to_every_transport_of_every_node(
    harness: ClusterHarness, payload: str | bytes
) -> None:
    clients = [
        await harness.connect(node, "big", way=way) for node in range(3) for way in ("websocket", "upgrade")
    ]
    await asyncio.gather(*(client.wait_upgraded() for client in clients[1::2]))
    await harness.emit(payload, rooms=["big"])
    assert await harness.receivers(payload) == set(clients)


async def test_acknowledgements_of_all_clients_are_collected(harness: ClusterHarness) -> None:
    clients = [*await harness.connect_each(), *await harness.connect_each()]
    answers = await harness.do("ask", event="hello", args=["one value"])
    assert answers == ["one value"] * len(clients)
    assert await harness.receivers("one value") == set(clients)


async def test_acknowledgements_carry_binary_both_ways(harness: ClusterHarness) -> None:
    await harness.connect_each()
    answers = await harness.do("ask", event="hello", args=ARGS)
    assert answers == [list(ARGS)] * 3


async def test_emit_with_ack_to_no_client_returns_an_empty_list_at_once(harness: ClusterHarness) -> None:
    await harness.connect_each()
    assert await harness.do("ask", event="hello", rooms=["nobody"]) == []


async def test_silent_client_is_counted_in_the_error_and_no_node_is_missing(harness: ClusterHarness) -> None:
    _, second, _ = await harness.connect_each()
    await second.mute()
    facts = await harness.failure(2, "ask", missing=0, event="hello", args=[1])
    assert (facts["error"], len(facts["responses"]), facts["expected"]) == ("RequestTimeoutError", 2, 3)
    assert facts["missing"] == []


async def test_responses_in_the_error_have_the_form_of_returned_ones(harness: ClusterHarness) -> None:
    _, second, _ = await harness.connect_each()
    await second.mute()
    facts = await harness.failure(2, "ask", event="hello", args=[1])
    assert facts["responses"] == [1, 1]


async def test_acknowledgement_of_clients_of_this_node_only(harness: ClusterHarness) -> None:
    here, _, _ = await harness.connect_each()
    assert await harness.do("ask", event="hello", args=["me"], local=True) == ["me"]
    assert await harness.receivers("me") == {here}


async def test_broadcast_is_the_same_from_each_node(harness: ClusterHarness, nodes: list[ClusterNode]) -> None:
    clients = await harness.connect_each("room")
    for number, node in enumerate(nodes):
        await node.do("emit", event="news", args=[number], rooms=["room"])
    for client in clients:
        assert sorted(await client.wait_for("news", 3)) == [[0], [1], [2]]
