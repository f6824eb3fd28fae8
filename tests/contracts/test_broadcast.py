"""Broadcasts on three nodes, case by case as in the official cluster adapters' own tests.

Source: socket.io-cluster-adapter and socket.io-redis-adapter, `test/index.ts`, "broadcast".
"""

import pytest

from tests.contracts.harness import Cluster
from tests.support.fake_sockets import ackable, event
from tests.support.timing import LIMIT_S, wait_until
from zmqio.adapter.base import Target
from zmqio.exceptions import RequestTimeoutError, TopicError
from zmqio.protocol.packet import AckableFrames

HELLO = event("hello", 1, "2")


def to(*rooms: str, except_: tuple[str, ...] = (), local: bool = False, volatile: bool = False) -> Target:
    return Target(frozenset(rooms) or None, frozenset(except_), local, volatile)


async def test_all_clients(cluster: Cluster) -> None:
    sids = await cluster.connect_each()
    await cluster[0].adapter.broadcast(HELLO, to())
    await cluster.wait_received(HELLO, *sids)


async def test_binary_attachments_arrive_unchanged(cluster: Cluster) -> None:
    sids = await cluster.connect_each()
    frames = ('451-["bin",{"_placeholder":true,"num":0}]', bytes(range(256)))
    await cluster[0].adapter.broadcast(frames, to())
    await cluster.wait_received(frames, *sids)


async def test_one_megabyte(cluster: Cluster) -> None:
    sids = await cluster.connect_each("big")
    frames = event("big", "x" * 1_000_000)
    await cluster[1].adapter.broadcast(frames, to("big"))
    await cluster.wait_received(frames, *sids)


async def test_all_clients_of_a_namespace_and_of_no_other(cluster: Cluster) -> None:
    in_root = await cluster.connect_each("room")
    for node in cluster:
        await node.open("/custom")
    in_custom = [await node.connect("room", namespace="/custom") for node in cluster]
    await cluster[0].adapters["/custom"].broadcast(HELLO, to())
    for node, sid in zip(cluster, in_custom, strict=True):
        await _got(cluster, node.fakes["/custom"].received[sid], HELLO)
    await cluster[0].adapters["/custom"].broadcast(HELLO, to("room"))
    await cluster.quiet()
    assert cluster.receivers(HELLO) == set()
    assert all(not node.sockets.received[sid] for node, sid in zip(cluster, in_root, strict=True))


async def test_one_room(cluster: Cluster) -> None:
    inside = [await cluster[1].connect("room"), await cluster[2].connect("room")]
    await cluster.connect_each("another")
    await cluster[0].adapter.broadcast(HELLO, to("room"))
    await cluster.wait_received(HELLO, *inside)


async def test_room_of_a_namespace_is_not_the_room_of_another(cluster: Cluster) -> None:
    for node in cluster:
        await node.open("/custom")
    elsewhere = await cluster[1].connect("room", namespace="/custom")
    inside = await cluster[2].connect("room")
    await cluster[0].adapter.broadcast(HELLO, to("room"))
    await cluster.wait_received(HELLO, inside)
    assert cluster[1].fakes["/custom"].received[elsewhere] == []


async def test_several_rooms_reach_each_socket_once(cluster: Cluster) -> None:
    both = await cluster[1].connect("a", "b")
    one = await cluster[2].connect("b")
    await cluster[0].connect("c")
    await cluster[0].adapter.broadcast(HELLO, to("a", "b"))
    await cluster.wait_received(HELLO, both, one)


async def test_all_except_a_room(cluster: Cluster) -> None:
    out = await cluster[1].connect("quiet")
    sids = await cluster.connect_each()
    await cluster[0].adapter.broadcast(HELLO, to(except_=("quiet",)))
    await cluster.wait_received(HELLO, *sids)
    assert out not in cluster.receivers(HELLO)


async def test_all_except_one_remote_socket(cluster: Cluster) -> None:
    sids = await cluster.connect_each()
    await cluster[0].adapter.broadcast(HELLO, to(except_=(sids[1],)))
    await cluster.wait_received(HELLO, sids[0], sids[2])


async def test_room_except_another_room(cluster: Cluster) -> None:
    inside = await cluster.connect_each("room")
    await cluster[2].connect("room", "quiet")
    await cluster[0].adapter.broadcast(HELLO, to("room", except_=("quiet",)))
    await cluster.wait_received(HELLO, *inside)


async def test_local_broadcast_stays_on_its_node(cluster: Cluster) -> None:
    sids = await cluster.connect_each("room")
    await cluster[0].adapter.broadcast(HELLO, to(local=True))
    await cluster.wait_received(HELLO, sids[0])
    again = event("again")
    await cluster[0].adapter.broadcast(again, to("room", local=True))
    await cluster.wait_received(again, sids[0])


async def test_volatile_arrives_as_volatile(cluster: Cluster) -> None:
    sids = await cluster.connect_each()
    await cluster[0].adapter.broadcast(HELLO, to(volatile=True))
    await cluster.wait_received(HELLO, *sids)
    assert all(node.sockets.volatile[sid] == [HELLO] for node, sid in zip(cluster, sids, strict=True))


async def test_one_remote_socket(cluster: Cluster) -> None:
    sids = await cluster.connect_each()
    await cluster[0].adapter.broadcast(HELLO, to(sids[2]))
    await cluster.wait_received(HELLO, sids[2])


@pytest.mark.parametrize(
    "name", ["with space", "#hash", "a/b", "/", "ünïcödé ☃", "room-1", "", "%00", "n", "x" * 500]
)
async def test_any_room_name_is_that_room_only(cluster: Cluster, name: str) -> None:
    inside = await cluster[1].connect(name)
    await cluster[2].connect(f"{name}0", f"/{name}", "other")
    await cluster[0].adapter.broadcast(HELLO, to(name))
    await cluster.wait_received(HELLO, inside)


async def test_room_whose_name_looks_like_a_session_id(cluster: Cluster) -> None:
    name = "a-room_of-20-letters"
    assert len(name) == 20
    inside = await cluster[1].connect(name)
    await cluster[0].adapter.broadcast(HELLO, to(name))
    await cluster.wait_received(HELLO, inside)


async def test_room_named_as_a_socket_of_another_node_reaches_both(cluster: Cluster) -> None:
    owner = await cluster[1].connect()
    listener = await cluster[2].connect(owner)
    await cluster[0].adapter.broadcast(HELLO, to(owner))
    await cluster.wait_received(HELLO, owner, listener)
    again = event("again")
    await cluster[1].adapter.broadcast(again, to(owner))
    await cluster.wait_received(again, owner, listener)


@pytest.mark.parametrize("target", [to("a\0b"), to("a", "b\0"), to(except_=("\0",))])
async def test_room_name_with_a_nul_is_rejected_and_nothing_is_delivered(cluster: Cluster, target: Target) -> None:
    await cluster.connect_each()
    with pytest.raises(TopicError):
        await cluster[0].adapter.broadcast(HELLO, target)
    await cluster.quiet()
    assert cluster.receivers(HELLO) == set()


async def test_messages_of_one_sender_keep_their_order_across_rooms(cluster: Cluster) -> None:
    sid = await cluster[1].connect("a", "b", "c")
    packets = [event("n", number) for number in range(200)]
    for number, frames in enumerate(packets):
        await cluster[0].adapter.broadcast(frames, to("abc"[number % 3]))
    await _got(cluster, cluster[1].sockets.received[sid], packets[-1])
    assert cluster[1].sockets.received[sid] == packets


async def test_acks_of_all_nodes_are_collected(cluster: Cluster) -> None:
    sids = await cluster.connect_each()
    for number, (node, sid) in enumerate(zip(cluster, sids, strict=True)):
        node.sockets.answers[sid] = [number, b"\x00binary"]
    answers = await cluster[0].adapter.broadcast_with_ack(ackable("hello"), to(), 10)
    assert sorted(answers) == [[0, b"\x00binary"], [1, b"\x00binary"], [2, b"\x00binary"]]


async def test_acks_of_a_room_whose_members_are_elsewhere(cluster: Cluster) -> None:
    sids = [await cluster[1].connect("room") for _ in range(5)]
    cluster[1].sockets.answers = {sid: [sid] for sid in sids}
    answers = await cluster[0].adapter.broadcast_with_ack(ackable("hello"), to("room"), 10)
    assert answers == [[sid] for sid in sids]


async def test_acked_broadcast_without_receivers_returns_at_once(cluster: Cluster) -> None:
    assert await cluster[0].adapter.broadcast_with_ack(ackable("hello"), to("nobody"), 10) == []


async def test_timeout_error_counts_clients_that_stay_silent(cluster: Cluster) -> None:
    sids = await cluster.connect_each()
    cluster[0].sockets.answers[sids[0]] = ["first"]
    cluster[1].sockets.answers[sids[1]] = ["second"]
    for limit_s in (0.2, LIMIT_S):  # a busy machine may take longer than the first
        with pytest.raises(RequestTimeoutError) as caught:
            await cluster[0].adapter.broadcast_with_ack(ackable("hello"), to(), limit_s)
        if (caught.value.expected, caught.value.received) == (3, 2):
            break
    assert sorted(caught.value.responses) == [["first"], ["second"]]
    assert (caught.value.expected, caught.value.received, caught.value.missing) == (3, 2, [])


async def test_ack_of_one_remote_socket(cluster: Cluster) -> None:
    sids = await cluster.connect_each()
    cluster[2].sockets.answers[sids[2]] = ["it is me"]
    answers = await cluster[0].adapter.broadcast_with_ack(ackable("who"), to(sids[2]), 10)
    assert answers == [["it is me"]]
    assert cluster[1].sockets.received == {}


async def test_ack_of_one_socket_of_this_node(cluster: Cluster) -> None:
    sid = await cluster[0].connect()
    cluster[0].sockets.answers[sid] = ["here"]
    assert await cluster[0].adapter.broadcast_with_ack(ackable("who"), to(sid), 10) == [["here"]]


async def test_local_acks(cluster: Cluster) -> None:
    sids = await cluster.connect_each()
    for node, sid in zip(cluster, sids, strict=True):
        node.sockets.answers[sid] = [sid]
    assert await cluster[0].adapter.broadcast_with_ack(ackable("who"), to(local=True), 10) == [[sids[0]]]


async def test_acked_packet_of_a_binary_parser_gets_an_id_on_each_node(cluster: Cluster) -> None:
    sids = await cluster.connect_each()
    for node, sid in zip(cluster, sids, strict=True):
        node.sockets.answers[sid] = [1]
    answers = await cluster[0].adapter.broadcast_with_ack(AckableFrames(b"head", b"tail", (b"att",)), to(), 10)
    assert answers == [[1], [1], [1]]
    assert cluster[2].sockets.received[sids[2]] == [(b"head\x00tail", b"att")]


async def _got(cluster: Cluster, packets: list[tuple[str | bytes, ...]], frames: tuple[str | bytes, ...]) -> None:
    await wait_until(lambda: frames in packets, f"{frames!r}")
    await cluster.quiet()
