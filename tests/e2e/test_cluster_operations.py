"""Joins, leaves, disconnects, requests and server-side events: the cases of the official cluster adapters.

Three node processes, a broker, JavaScript clients.
Source: @socket.io/cluster-adapter and @socket.io/redis-adapter, `test/index.ts`, "socketsJoin" and after.
"""

import pytest

from tests.support.cluster_harness import ClusterHarness
from tests.support.cluster_nodes import ClusterNode, NodeFailed, wait_counts, wait_rooms
from tests.support.timing import LIMIT_S

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def server_side_events(node: ClusterNode) -> list[list[object]]:
    """Return the server-side events that a node received since the module began."""
    received: list[list[object]] = (await node.state())["received"]
    return received


async def test_all_join(harness: ClusterHarness) -> None:
    clients = await harness.connect_each()
    await harness.do("join", names=["new", "newer"])
    await wait_rooms(harness.nodes[0], {client.sid: {"new", "newer"} for client in clients})


async def test_members_of_a_room_join_except_members_of_another(harness: ClusterHarness) -> None:
    chosen, spared = await harness.connect(1, "room"), await harness.connect(1, "room", "spared")
    other = await harness.connect(2)
    await harness.do("join", names=["new"], rooms=["room"], except_=["spared"])
    await harness.do("emit", event="hello", rooms=["new"])
    assert await harness.receivers() == {chosen}
    expected = {chosen.sid: {"room", "new"}, spared.sid: {"room", "spared"}, other.sid: set()}
    await wait_rooms(harness.nodes[0], expected)


async def test_one_socket_of_another_node_joins(harness: ClusterHarness) -> None:
    _, second, _ = await harness.connect_each()
    await harness.do("remote", do="join", rooms=[second.sid], names=["new"])
    await harness.do("emit", event="hello", rooms=["new"])
    assert await harness.receivers() == {second}


async def test_sockets_of_this_node_join(harness: ClusterHarness) -> None:
    here, _, _ = await harness.connect_each()
    await harness.do("join", names=["new"], local=True)
    await harness.do("emit", event="hello", rooms=["new"])
    assert await harness.receivers() == {here}


async def test_all_leave(harness: ClusterHarness) -> None:
    clients = await harness.connect_each("old", "kept")
    await harness.do("leave", names=["old"])
    await harness.emit(rooms=["old"])
    assert await harness.receivers() == set()
    await wait_rooms(harness.nodes[0], {client.sid: {"kept"} for client in clients})


async def test_members_of_a_room_leave(harness: ClusterHarness) -> None:
    await harness.connect(1, "old", "chosen")
    other = await harness.connect(2, "old")
    await harness.do("leave", names=["old"], rooms=["chosen"])
    await harness.emit(rooms=["old"])
    assert await harness.receivers() == {other}


async def test_one_socket_of_another_node_leaves(harness: ClusterHarness) -> None:
    first, second, third = await harness.connect_each("old")
    await harness.do("remote", do="leave", rooms=[second.sid], names=["old"])
    await harness.emit(rooms=["old"])
    assert await harness.receivers() == {first, third}


@pytest.mark.parametrize("close", [False, True])
async def test_all_sockets_are_disconnected_and_connections_only_with_close(
    harness: ClusterHarness, close: bool
) -> None:
    clients = await harness.connect_each()
    same_connection = [await harness.share(client, namespace="/custom") for client in clients]
    elsewhere = await harness.connect_each(namespace="/custom")
    await harness.do("disconnect", close=close)
    for client in [*clients, *(same_connection if close else ())]:
        assert await client.wait_disconnect() == "io server disconnect"
    await harness.emit(namespace="/custom")
    assert await harness.receivers() == {*elsewhere, *(() if close else same_connection)}


async def test_members_of_a_room_are_disconnected(harness: ClusterHarness) -> None:
    gone = [await harness.connect(node, "going") for node in range(3)]
    kept = await harness.connect_each()
    await harness.do("disconnect", rooms=["going"])
    for client in gone:
        assert await client.wait_disconnect() == "io server disconnect"
    await harness.emit()
    assert await harness.receivers() == set(kept)


async def test_one_socket_of_another_node_is_disconnected(harness: ClusterHarness) -> None:
    first, second, third = await harness.connect_each()
    await harness.do("remote", do="disconnect", rooms=[third.sid])
    await third.wait_disconnect()
    await harness.emit()
    assert await harness.receivers() == {first, second}


async def test_all_sockets_are_fetched_from_each_node(harness: ClusterHarness) -> None:
    clients = await harness.connect_each()
    for node in harness.nodes:
        found = await node.do("fetch")
        assert {one["sid"]: one["node_id"] for one in found} == {
            client.sid: owner.node_id for client, owner in zip(clients, harness.nodes, strict=True)
        }


async def test_sockets_of_a_room_are_fetched(harness: ClusterHarness) -> None:
    inside = [await harness.connect(1, "room"), await harness.connect(2, "room")]
    await harness.connect(2, "room", "out")
    await harness.connect(0)
    found = await harness.do("fetch", rooms=["room"], except_=["out"])
    assert {one["sid"] for one in found} == {client.sid for client in inside}


async def test_fetched_socket_has_its_handshake_data_and_rooms(harness: ClusterHarness) -> None:
    data = {"name": "é ☃", "deep": [1, None, {"raw": "x"}]}
    client = await harness.connect(2, "a room", data=data, token="secret")
    (found,) = await harness.do("fetch", rooms=[client.sid])
    assert found["data"] == data
    assert set(found["rooms"]) == {client.sid, "a room"}
    assert found["node_id"] == harness.nodes[2].node_id
    assert found["handshake"]["auth"] == {"data": data, "token": "secret", "rooms": ["a room"]}
    assert found["handshake"]["address"] == "127.0.0.1"
    assert found["handshake"]["query"]["EIO"] == "4"
    assert found["handshake"]["headers"]["host"] == harness.nodes[2].url.removeprefix("http://")


async def test_sockets_of_this_node_are_fetched(harness: ClusterHarness) -> None:
    here, _, _ = await harness.connect_each()
    assert [one["sid"] for one in await harness.do("fetch", local=True)] == [here.sid]


async def test_fetched_socket_of_another_node_receives_events_and_acknowledges(harness: ClusterHarness) -> None:
    _, second, _ = await harness.connect_each()
    answer = await harness.do("remote", do="ask", rooms=[second.sid], event="hello", args=[b"\x00", "x"])
    assert answer == [b"\x00", "x"]
    await harness.do("remote", do="emit", rooms=[second.sid], event="told", args=[1])
    assert await second.wait_for("told") == [[1]]
    assert await harness.receivers(b"\x00", "x") == {second}


async def test_rooms_of_the_whole_cluster(harness: ClusterHarness) -> None:
    clients = [await harness.connect(1, "here", "ünï #/"), await harness.connect(2, "there")]
    assert set(await harness.do("rooms")) == {"here", "there", "ünï #/", *(client.sid for client in clients)}
    assert await harness.do("rooms", namespace="/custom") == []


async def test_server_side_event_reaches_the_other_nodes_only(harness: ClusterHarness) -> None:
    before = [await server_side_events(node) for node in harness.nodes]
    await harness.do("tell_nodes", event="hello", args=["once", 1, None])
    assert sorted(await harness.do("ask_nodes", event="who", timeout=LIMIT_S)) == ["three", "two"]  # behind it
    after = [await server_side_events(node) for node in harness.nodes]
    new = [late[len(early) :] for early, late in zip(before, after, strict=True)]
    assert new == [[], [["once", 1, None]], [["once", 1, None]]]


async def test_server_side_event_of_a_namespace_is_answered_there(harness: ClusterHarness) -> None:
    answers = await harness.nodes[1].do("ask_nodes", namespace="/custom", event="who", timeout=LIMIT_S)
    assert sorted(answers) == ["one", "three"]


async def test_server_side_answers_carry_binary(harness: ClusterHarness) -> None:
    answers = await harness.do("ask_nodes", event="binary", args=[b"\x00\xff"], timeout=LIMIT_S)
    assert sorted(answers) == [["three", b"\xff\x00"], ["two", b"\xff\x00"]]


@pytest.mark.parametrize("event", ["silent", "failing"])
async def test_node_that_does_not_answer_is_named(harness: ClusterHarness, event: str) -> None:
    facts = await harness.failure(1, "ask_nodes", event=event, args=["three"])
    assert (facts["error"], len(facts["responses"]), facts["expected"]) == ("RequestTimeoutError", 1, 2)
    assert facts["missing"] == [harness.nodes[2].node_id]


async def test_unhandled_server_side_event_names_every_node(harness: ClusterHarness) -> None:
    with pytest.raises(NodeFailed) as caught:
        await harness.do("ask_nodes", event="unheard of", timeout=0.5)
    assert set(caught.value.facts["missing"]) == {node.node_id for node in harness.nodes[1:]}


async def test_all_nodes_are_counted(harness: ClusterHarness) -> None:
    await wait_counts(harness.nodes, 3)
