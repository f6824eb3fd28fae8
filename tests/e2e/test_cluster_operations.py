"""Joins, leaves, disconnects, questions and server-side events, as the official cluster adapters' tests have them.

Three node processes, a broker, JavaScript clients.
Source: @socket.io/cluster-adapter and @socket.io/redis-adapter, `test/index.ts`, "socketsJoin" and after.
"""

import pytest

from tests.support.cluster_nodes import ClusterNode, NodeFailed, wait_rooms
from tests.support.cluster_stage import ClusterStage

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def hears(node: ClusterNode) -> list[list[object]]:
    """Return the server-side events that a node received since the module began."""
    received: list[list[object]] = (await node.state())["received"]
    return received


async def test_all_join(stage: ClusterStage) -> None:
    clients = await stage.connect_each()
    await stage.do("join", names=["new", "newer"])
    await wait_rooms(stage.nodes[0], {client.sid: {"new", "newer"} for client in clients})


async def test_those_in_a_room_join_but_no_member_of_another(stage: ClusterStage) -> None:
    chosen, spared = await stage.connect(1, "room"), await stage.connect(1, "room", "spared")
    other = await stage.connect(2)
    await stage.do("join", names=["new"], rooms=["room"], except_=["spared"])
    await stage.do("emit", event="hello", rooms=["new"])
    assert await stage.receivers() == {chosen}
    expected = {chosen.sid: {"room", "new"}, spared.sid: {"room", "spared"}, other.sid: set()}
    await wait_rooms(stage.nodes[0], expected)


async def test_one_socket_of_another_node_joins(stage: ClusterStage) -> None:
    _, second, _ = await stage.connect_each()
    await stage.do("remote", do="join", rooms=[second.sid], names=["new"])
    await stage.do("emit", event="hello", rooms=["new"])
    assert await stage.receivers() == {second}


async def test_those_of_this_node_join(stage: ClusterStage) -> None:
    here, _, _ = await stage.connect_each()
    await stage.do("join", names=["new"], local=True)
    await stage.do("emit", event="hello", rooms=["new"])
    assert await stage.receivers() == {here}


async def test_all_leave(stage: ClusterStage) -> None:
    clients = await stage.connect_each("old", "kept")
    await stage.do("leave", names=["old"])
    await stage.emit(rooms=["old"])
    assert await stage.receivers() == set()
    await wait_rooms(stage.nodes[0], {client.sid: {"kept"} for client in clients})


async def test_those_in_a_room_leave(stage: ClusterStage) -> None:
    await stage.connect(1, "old", "chosen")
    other = await stage.connect(2, "old")
    await stage.do("leave", names=["old"], rooms=["chosen"])
    await stage.emit(rooms=["old"])
    assert await stage.receivers() == {other}


async def test_one_socket_of_another_node_leaves(stage: ClusterStage) -> None:
    first, second, third = await stage.connect_each("old")
    await stage.do("remote", do="leave", rooms=[second.sid], names=["old"])
    await stage.emit(rooms=["old"])
    assert await stage.receivers() == {first, third}


@pytest.mark.parametrize("close", [False, True])
async def test_all_are_disconnected_and_their_connections_only_if_asked(stage: ClusterStage, close: bool) -> None:
    clients = await stage.connect_each()
    same_connection = [await stage.share(client, namespace="/custom") for client in clients]
    elsewhere = await stage.connect_each(namespace="/custom")
    await stage.do("disconnect", close=close)
    for client in [*clients, *(same_connection if close else ())]:
        assert await client.wait_disconnect() == "io server disconnect"
    await stage.emit(namespace="/custom")
    assert await stage.receivers() == {*elsewhere, *(() if close else same_connection)}


async def test_those_in_a_room_are_disconnected(stage: ClusterStage) -> None:
    gone = [await stage.connect(node, "going") for node in range(3)]
    kept = await stage.connect_each()
    await stage.do("disconnect", rooms=["going"])
    for client in gone:
        assert await client.wait_disconnect() == "io server disconnect"
    await stage.emit()
    assert await stage.receivers() == set(kept)


async def test_one_socket_of_another_node_is_disconnected(stage: ClusterStage) -> None:
    first, second, third = await stage.connect_each()
    await stage.do("remote", do="disconnect", rooms=[third.sid])
    await third.wait_disconnect()
    await stage.emit()
    assert await stage.receivers() == {first, second}


async def test_all_sockets_are_fetched_from_each_node(stage: ClusterStage) -> None:
    clients = await stage.connect_each()
    for node in stage.nodes:
        found = await node.do("fetch")
        assert {one["sid"]: one["node_id"] for one in found} == {
            client.sid: owner.node_id for client, owner in zip(clients, stage.nodes, strict=True)
        }


async def test_sockets_of_a_room_are_fetched(stage: ClusterStage) -> None:
    inside = [await stage.connect(1, "room"), await stage.connect(2, "room")]
    await stage.connect(2, "room", "out")
    await stage.connect(0)
    found = await stage.do("fetch", rooms=["room"], except_=["out"])
    assert {one["sid"] for one in found} == {client.sid for client in inside}


async def test_fetched_socket_tells_its_handshake_data_and_rooms(stage: ClusterStage) -> None:
    data = {"name": "é ☃", "deep": [1, None, {"raw": "x"}]}
    client = await stage.connect(2, "a room", data=data, token="secret")
    (found,) = await stage.do("fetch", rooms=[client.sid])
    assert found["data"] == data
    assert set(found["rooms"]) == {client.sid, "a room"}
    assert found["node_id"] == stage.nodes[2].node_id
    assert found["handshake"]["auth"] == {"data": data, "token": "secret", "rooms": ["a room"]}
    assert found["handshake"]["address"] == "127.0.0.1"
    assert found["handshake"]["query"]["EIO"] == "4"
    assert found["handshake"]["headers"]["host"] == stage.nodes[2].url.removeprefix("http://")


async def test_sockets_of_this_node_are_fetched(stage: ClusterStage) -> None:
    here, _, _ = await stage.connect_each()
    assert [one["sid"] for one in await stage.do("fetch", local=True)] == [here.sid]


async def test_fetched_socket_of_another_node_receives_events_and_acknowledges(stage: ClusterStage) -> None:
    _, second, _ = await stage.connect_each()
    answer = await stage.do("remote", do="ask", rooms=[second.sid], event="hello", args=[b"\x00", "x"])
    assert answer == [b"\x00", "x"]
    await stage.do("remote", do="emit", rooms=[second.sid], event="told", args=[1])
    assert await second.wait_for("told") == [[1]]
    assert await stage.receivers(b"\x00", "x") == {second}


async def test_rooms_of_the_whole_cluster(stage: ClusterStage) -> None:
    clients = [await stage.connect(1, "here", "ünï #/"), await stage.connect(2, "there")]
    assert set(await stage.do("rooms")) == {"here", "there", "ünï #/", *(client.sid for client in clients)}
    assert await stage.do("rooms", namespace="/custom") == []


async def test_server_side_event_reaches_the_other_nodes_only(stage: ClusterStage) -> None:
    before = [await hears(node) for node in stage.nodes]
    await stage.do("tell_nodes", event="hello", args=["once", 1, None])
    assert sorted(await stage.do("ask_nodes", event="who", timeout=10)) == ["three", "two"]  # behind it
    after = [await hears(node) for node in stage.nodes]
    new = [late[len(early) :] for early, late in zip(before, after, strict=True)]
    assert new == [[], [["once", 1, None]], [["once", 1, None]]]


async def test_server_side_event_of_a_namespace_is_answered_there(stage: ClusterStage) -> None:
    answers = await stage.nodes[1].do("ask_nodes", namespace="/custom", event="who", timeout=10)
    assert sorted(answers) == ["one", "three"]


async def test_server_side_answers_carry_binary(stage: ClusterStage) -> None:
    answers = await stage.do("ask_nodes", event="binary", args=[b"\x00\xff"], timeout=10)
    assert sorted(answers) == [["three", b"\xff\x00"], ["two", b"\xff\x00"]]


@pytest.mark.parametrize("event", ["silent", "failing"])
async def test_node_that_does_not_answer_is_named(stage: ClusterStage, event: str) -> None:
    with pytest.raises(NodeFailed) as caught:
        await stage.do("ask_nodes", event=event, args=["three"], timeout=0.5)
    facts = caught.value.facts
    assert (facts["error"], len(facts["responses"]), facts["expected"]) == ("RequestTimeoutError", 1, 2)
    assert facts["missing"] == [stage.nodes[2].node_id]


async def test_event_that_nobody_handles_names_every_node(stage: ClusterStage) -> None:
    with pytest.raises(NodeFailed) as caught:
        await stage.do("ask_nodes", event="unheard of", timeout=0.5)
    assert set(caught.value.facts["missing"]) == {node.node_id for node in stage.nodes[1:]}


async def test_all_nodes_are_counted(stage: ClusterStage) -> None:
    assert [(await node.state())["server_count"] for node in stage.nodes] == [3, 3, 3]
