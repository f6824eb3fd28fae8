"""Joins, leaves, disconnects, requests and server-side events on three nodes.

Source: socket.io-cluster-adapter and socket.io-redis-adapter, `test/index.ts`, "socketsJoin" and after.
"""

import asyncio

import pytest

from tests.contracts.harness import Cluster
from tests.support.fake_sockets import event
from tests.support.timing import LIMIT_S, wait_until
from zmqio.adapter.base import Target
from zmqio.adapter.local import SLICE_DISCONNECTS
from zmqio.exceptions import RequestTimeoutError, TopicError

EVERYBODY = Target()


def to(*rooms: str, except_: tuple[str, ...] = (), local: bool = False) -> Target:
    return Target(frozenset(rooms) or None, frozenset(except_), local)


async def test_join_all(cluster: Cluster) -> None:
    sids = await cluster.connect_each()
    await cluster[0].adapter.add_sockets(EVERYBODY, ["new"])
    for node, sid in zip(cluster, sids, strict=True):
        await wait_until(lambda node=node, sid=sid: node.rooms_of(sid) == {"new"}, "the socket is in the room")


async def test_join_sockets_of_a_room_except_another(cluster: Cluster) -> None:
    chosen = await cluster[1].connect("room")
    spared = await cluster[1].connect("room", "spared")
    other = await cluster[2].connect()
    await cluster[0].adapter.add_sockets(to("room", except_=("spared",)), ["new", "newer"])
    await wait_until(lambda: cluster[1].rooms_of(chosen) == {"room", "new", "newer"}, "the join")
    await cluster.quiet()
    assert (cluster[1].rooms_of(spared), cluster[2].rooms_of(other)) == ({"room", "spared"}, set())


async def test_join_one_remote_socket(cluster: Cluster) -> None:
    sids = await cluster.connect_each()
    await cluster[0].adapter.add_sockets(to(sids[1]), ["new"])
    await wait_until(lambda: cluster[1].rooms_of(sids[1]) == {"new"}, "the join")
    await cluster.quiet()
    assert cluster[2].rooms_of(sids[2]) == set()


async def test_join_on_this_node_only(cluster: Cluster) -> None:
    sids = await cluster.connect_each()
    await cluster[0].adapter.add_sockets(to(local=True), ["new"])
    await cluster.quiet()
    assert [node.rooms_of(sid) for node, sid in zip(cluster, sids, strict=True)] == [{"new"}, set(), set()]


async def test_sockets_joined_by_another_node_receive_room_messages(cluster: Cluster) -> None:
    sid = await cluster[1].connect()
    await cluster[0].adapter.add_sockets(to(sid), ["new"])
    await wait_until(lambda: cluster[1].rooms_of(sid) == {"new"}, "the join")
    await cluster.quiet()
    await cluster[2].adapter.broadcast(event("x"), to("new"))
    await cluster.wait_received(event("x"), sid)


async def test_leave_all(cluster: Cluster) -> None:
    sids = await cluster.connect_each("old", "kept")
    await cluster[0].adapter.remove_sockets(EVERYBODY, ["old"])
    for node, sid in zip(cluster, sids, strict=True):
        await wait_until(lambda node=node, sid=sid: node.rooms_of(sid) == {"kept"}, "the socket left")


async def test_leave_sockets_of_a_room(cluster: Cluster) -> None:
    chosen = await cluster[1].connect("old", "chosen")
    other = await cluster[2].connect("old")
    await cluster[0].adapter.remove_sockets(to("chosen"), ["old"])
    await wait_until(lambda: cluster[1].rooms_of(chosen) == {"chosen"}, "the leave")
    await cluster.quiet()
    assert cluster[2].rooms_of(other) == {"old"}


async def test_leave_one_remote_socket(cluster: Cluster) -> None:
    sids = await cluster.connect_each("old")
    await cluster[0].adapter.remove_sockets(to(sids[1]), ["old"])
    await wait_until(lambda: cluster[1].rooms_of(sids[1]) == set(), "the leave")
    await cluster.quiet()
    await cluster[0].adapter.broadcast(event("x"), to("old"))
    await cluster.wait_received(event("x"), sids[0], sids[2])


@pytest.mark.parametrize("close", [False, True])
async def test_disconnect_all(cluster: Cluster, close: bool) -> None:
    sids = await cluster.connect_each()
    await cluster[0].adapter.disconnect_sockets(EVERYBODY, close=close)
    for node, sid in zip(cluster, sids, strict=True):
        await wait_until(lambda node=node, sid=sid: node.sockets.disconnected == [(sid, close)], "disconnected")


async def test_disconnect_one_remote_socket(cluster: Cluster) -> None:
    sids = await cluster.connect_each()
    await cluster[0].adapter.disconnect_sockets(to(sids[2]), close=True)
    await wait_until(lambda: cluster[2].sockets.disconnected == [(sids[2], True)], "disconnected")
    await cluster.quiet()
    assert cluster[0].sockets.disconnected == cluster[1].sockets.disconnected == []


async def test_fetch_all_sockets(cluster: Cluster) -> None:
    sids = await cluster.connect_each("room")
    cluster[1].sockets.data[sids[1]] = {"name": "é", "raw": b"\x00"}
    found = await cluster[0].adapter.fetch_sockets(EVERYBODY, 10)
    assert {one.sid for one in found} == set(sids)
    by_sid = {one.sid: one for one in found}
    remote = by_sid[sids[1]]
    assert remote.data == {"name": "é", "raw": b"\x00"}
    assert remote.handshake == {"address": "127.0.0.1"}
    assert set(remote.rooms) == {sids[1], "room"}
    assert remote.node_id == cluster[1].identity.node_id


async def test_fetch_sockets_of_a_room_except_another(cluster: Cluster) -> None:
    inside = await cluster[2].connect("room")
    await cluster[1].connect("room", "out")
    await cluster[0].connect()
    found = await cluster[0].adapter.fetch_sockets(to("room", except_=("out",)), 10)
    assert [one.sid for one in found] == [inside]


async def test_fetch_one_remote_socket(cluster: Cluster) -> None:
    sids = await cluster.connect_each()
    found = await cluster[0].adapter.fetch_sockets(to(sids[1]), 10)
    assert [(one.sid, one.node_id) for one in found] == [(sids[1], cluster[1].identity.node_id)]


async def test_fetch_sockets_of_this_node(cluster: Cluster) -> None:
    sids = await cluster.connect_each()
    found = await cluster[0].adapter.fetch_sockets(to(local=True), 10)
    assert [one.sid for one in found] == [sids[0]]


async def test_fetch_in_a_namespace_that_other_nodes_do_not_serve(cluster: Cluster) -> None:
    await cluster[0].open("/alone")
    sid = await cluster[0].connect(namespace="/alone")
    found = await cluster[0].adapters["/alone"].fetch_sockets(EVERYBODY, 10)
    assert [one.sid for one in found] == [sid]
    assert await cluster[0].adapters["/alone"].rooms(10) == {sid}
    assert await cluster[0].adapters["/alone"].server_side_emit_with_ack(["x"], 10) == []


async def test_many_sockets_are_fetched_completely(cluster: Cluster) -> None:
    sids = [await cluster[1].connect("crowd") for _ in range(1_234)]
    found = await cluster[0].adapter.fetch_sockets(to("crowd"), 10)
    assert [one.sid for one in found] == sids


async def test_rooms_of_the_cluster(cluster: Cluster) -> None:
    a, b = await cluster[0].connect("here"), await cluster[1].connect("there", "here")
    assert await cluster[2].adapter.rooms(10) == {a, b, "here", "there"}


async def test_server_side_emit_reaches_the_other_nodes(cluster: Cluster) -> None:
    await cluster[0].adapter.server_side_emit(["hello", 1, b"\x00", None])
    for node in (cluster[1], cluster[2]):
        await wait_until(lambda node=node: node.sockets.server_side, "the event")
    await cluster.quiet()
    event_args = [["hello", 1, b"\x00", None]]
    assert [node.sockets.server_side for node in cluster] == [[], event_args, event_args]


async def test_server_side_emit_with_acks(cluster: Cluster) -> None:
    cluster[0].sockets.server_side_answer = ["not asked"]
    cluster[1].sockets.server_side_answer = [1]
    cluster[2].sockets.server_side_answer = [2, b"x"]
    answers = await cluster[0].adapter.server_side_emit_with_ack(["hello"], 10)
    assert sorted(answers) == [[1], [2, b"x"]]
    assert cluster[0].sockets.server_side == []


async def test_server_side_emit_with_a_node_that_does_not_answer(cluster: Cluster) -> None:
    cluster[1].sockets.server_side_answer = ["only me"]
    for limit_s in (0.2, LIMIT_S):  # a busy machine may take longer than the first
        with pytest.raises(RequestTimeoutError) as caught:
            await cluster[0].adapter.server_side_emit_with_ack(["hello"], limit_s)
        if caught.value.responses:
            break
    assert caught.value.responses == [["only me"]]
    assert (caught.value.expected, caught.value.missing) == (2, [cluster[2].identity.node_id])


async def test_server_side_emit_stays_in_its_namespace(cluster: Cluster) -> None:
    for node in cluster:
        await node.open("/other")
    await cluster[0].adapters["/other"].server_side_emit(["hello"])
    await wait_until(lambda: cluster[1].fakes["/other"].server_side, "the event")
    await cluster.quiet()
    assert [node.sockets.server_side for node in cluster] == [[], [], []]


@pytest.mark.parametrize("name", ["a\0b", "\ud800"])
async def test_join_with_an_invalid_name_changes_nothing(cluster: Cluster, name: str) -> None:
    sid = await cluster[0].connect()
    with pytest.raises(TopicError):
        cluster[0].adapter.add(sid, ["good", name])
    with pytest.raises(TopicError):
        await cluster[0].adapter.add_sockets(EVERYBODY, ["good", name])
    assert cluster[0].rooms_of(sid) == set()


async def test_room_left_and_joined_again_at_once_receives_messages(cluster: Cluster) -> None:
    sid = await cluster[1].connect()
    adapter = cluster[1].adapter
    for _ in range(5):
        waiting = adapter.add(sid, ["room"])
        adapter.remove(sid, "room")
        again = adapter.add(sid, ["room"])
        await again
        await waiting
        adapter.remove(sid, "room")
    await adapter.add(sid, ["room"])
    await cluster[0].adapter.broadcast(event("x"), to("room"))
    await cluster.wait_received(event("x"), sid)


async def test_second_member_waits_for_the_barrier_of_the_first(cluster: Cluster) -> None:
    first, second = await cluster[1].connect(), await cluster[1].connect()
    unawaited = cluster[1].adapter.add(first, ["room"])
    await cluster[1].adapter.add(second, ["room"])
    await cluster[0].adapter.broadcast(event("x"), to("room"))
    await cluster.wait_received(event("x"), first, second)
    await unawaited


async def test_churn_loses_no_message_for_members(cluster: Cluster) -> None:
    adapter = cluster[1].adapter
    old = [await cluster[1].connect("room") for _ in range(30)]
    for turn in range(10):
        for sid in old:
            adapter.remove_all(sid)
        old = [await cluster[1].connect("room") for _ in range(30)]
        await cluster[0].adapter.broadcast(event("turn", turn), to("room"))
        await cluster.wait_received(event("turn", turn), *old)


async def test_room_without_members_is_unsubscribed_from(cluster: Cluster) -> None:
    sid = await cluster[1].connect("room")
    cluster[1].adapter.remove(sid, "room")
    await cluster[0].adapter.broadcast(event("x"), to("room"))
    await cluster.quiet()
    assert cluster.receivers(event("x")) == set()


async def test_all_nodes_are_counted(cluster: Cluster) -> None:
    assert [node.adapter.server_count() for node in cluster] == [3, 3, 3]


async def test_node_that_left_is_not_counted(cluster: Cluster) -> None:
    leaving = cluster[2]
    await leaving.factory.close()
    await wait_until(lambda: cluster[0].adapter.server_count() == 2, "the goodbye")
    await wait_until(lambda: cluster[1].adapter.server_count() == 2, "the goodbye")
    assert cluster[0].neighbours.left == [(leaving.identity.node_id, "goodbye")]
    assert await cluster[0].adapter.fetch_sockets(EVERYBODY, 10) == []
    cluster.nodes.remove(leaving)


async def test_empty_selection_reaches_no_socket_on_any_node(cluster: Cluster) -> None:
    nobody = Target(frozenset())
    sids = await cluster.connect_each("room")
    adapter = cluster[0].adapter
    await adapter.broadcast(event("x"), nobody)
    await adapter.add_sockets(nobody, ["new"])
    await adapter.remove_sockets(nobody, ["room"])
    await adapter.disconnect_sockets(nobody, close=True)
    assert await adapter.fetch_sockets(nobody, 20) == []
    await cluster.quiet()
    for node, sid in zip(cluster, sids, strict=True):
        assert node.rooms_of(sid) == {"room"}
        assert node.sockets.received.get(sid, []) == []
        assert node.sockets.disconnected == []


async def test_join_of_a_socket_that_another_node_disconnects_leaves_no_ghost(cluster: Cluster) -> None:
    sids = [await cluster[1].connect() for _ in range(2 * SLICE_DISCONNECTS + 1)]
    await cluster[0].adapter.disconnect_sockets(EVERYBODY, close=False)
    async with asyncio.timeout(LIMIT_S):
        while not cluster[1].sockets.disconnected:  # noqa: ASYNC110 - each turn: to be between two slices
            await asyncio.sleep(0)
    await cluster[1].adapter.add(sids[-1], ["lobby"])
    await wait_until(lambda: len(cluster[1].sockets.disconnected) == len(sids), "the last slice")
    assert await cluster[0].adapter.rooms(20) == set()
