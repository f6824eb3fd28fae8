"""`Broadcast` and `RemoteSocket`: which sockets an operation reaches."""

import asyncio

import pytest

from tests.support.fake_engine import FakeSession, Harness
from tests.support.timing import LIMIT_S
from zmqio.adapter.local import SLICE_DISCONNECTS
from zmqio.exceptions import PacketError, SocketGoneError, TopicError
from zmqio.protocol.packet import Packet, PacketType
from zmqio.server.socket import Socket


async def connect_three(harness: Harness) -> list[tuple[Socket, FakeSession]]:
    """Connect three sockets in the rooms a; a and b; b."""
    found = []
    for rooms in (("a",), ("a", "b"), ("b",)):
        _, session = await harness.connected()
        *_, socket = harness.of("/").sockets.values()
        await socket.join(*rooms)
        session.sent.clear()
        found.append((socket, session))
    return found


def packet_counts(sockets: list[tuple[Socket, FakeSession]]) -> list[int]:
    return [len(session.sent) for _, session in sockets]


async def test_rooms_accumulate_and_a_socket_in_two_of_them_gets_one_packet() -> None:
    harness = Harness()
    sockets = await connect_three(harness)
    await harness.of("/").to("a").to("b").emit("x")
    assert packet_counts(sockets) == [1, 1, 1]
    await harness.of("/").to("a", "b").except_("b").emit("x")
    assert packet_counts(sockets) == [2, 1, 1]


async def test_except_excludes_one_socket() -> None:
    harness = Harness()
    sockets = await connect_three(harness)
    await harness.of("/").except_(sockets[0][0].id).emit("x")
    assert packet_counts(sockets) == [0, 1, 1]


async def test_steps_return_new_operations() -> None:
    harness = Harness()
    sockets = await connect_three(harness)
    to_a = harness.of("/").to("a")
    to_a.except_("b")
    await to_a.emit("x")
    assert packet_counts(sockets) == [1, 1, 0]


async def test_local_volatile_compress_and_timeout_can_be_chained() -> None:
    harness = Harness()
    sockets = await connect_three(harness)
    await harness.of("/").local.volatile.compress(False).timeout(1).in_("b").send("message", 1)
    assert packet_counts(sockets) == [0, 1, 1]


async def test_room_operations_apply_to_the_target() -> None:
    harness = Harness()
    sockets = await connect_three(harness)
    await harness.of("/").to("a").except_("b").sockets_join("c", "d")
    assert sockets[0][0].rooms >= {"c", "d"}
    assert "c" not in sockets[1][0].rooms
    await harness.of("/").sockets_leave("a")
    assert all("a" not in socket.rooms for socket, _ in sockets)
    await harness.of("/").to("b").disconnect_sockets()
    assert [socket.connected for socket, _ in sockets] == [True, False, False]


async def test_remote_socket_emits_joins_leaves_and_disconnects() -> None:
    harness = Harness()
    sockets = await connect_three(harness)
    (remote,) = await harness.of("/").to(sockets[0][0].id).fetch_sockets()
    await remote.emit("x", 1)
    assert sockets[0][1].sent == ['2["x",1]']
    await remote.join("z")
    assert "z" in sockets[0][0].rooms
    await remote.leave("z")
    assert "z" not in sockets[0][0].rooms
    await remote.disconnect()
    assert not sockets[0][0].connected


async def test_invalid_values_are_refused_before_anything_is_sent() -> None:
    harness = Harness()
    sockets = await connect_three(harness)
    with pytest.raises(PacketError, match="set"):
        await harness.of("/").emit("x", {1, 2})
    with pytest.raises(PacketError, match="reserved"):
        await harness.of("/").emit("disconnect")
    with pytest.raises(TypeError, match=r"to\(\) got 5 .*did you mean '5'"):
        harness.of("/").to(5)  # type: ignore[arg-type]
    with pytest.raises(TopicError):
        harness.of("/").to("a\0")
    assert packet_counts(sockets) == [0, 0, 0]


async def test_broadcast_from_another_event_loop_raises_and_names_the_emitter() -> None:
    harness = Harness()
    sockets = await connect_three(harness)

    def elsewhere() -> None:
        for broadcast in (harness.of("/"), harness.of("/").to("a"), sockets[0][0].broadcast):
            with pytest.raises(RuntimeError, match=r"zmqio\.Emitter"):
                asyncio.run(broadcast.emit("x"))

    await asyncio.to_thread(elsewhere)
    assert packet_counts(sockets) == [0, 0, 0]


async def test_client_that_disconnects_is_no_longer_waited_for() -> None:
    harness = Harness(request_timeout_s=LIMIT_S)
    sockets = await connect_three(harness)
    asking = asyncio.create_task(harness.of("/").emit_with_ack("question"))
    await asyncio.sleep(0)
    (ack_id,) = {int(str(session.sent[0])[1 : -len('["question"]')]) for _, session in sockets}
    sockets[0][0].receive(Packet(PacketType.ACK, "/", ["yes"], ack_id))
    for socket, _ in sockets[1:]:
        await socket.disconnect()
    assert await asking == ["yes"]


async def test_remote_socket_that_has_gone_raises_instead_of_none() -> None:
    harness = Harness(request_timeout_s=LIMIT_S)
    ((socket, _), *_) = await connect_three(harness)
    remote, *_ = await harness.of("/").to(socket.id).fetch_sockets()
    asking = asyncio.create_task(remote.emit_with_ack("question"))
    await asyncio.sleep(0)
    await socket.disconnect()
    with pytest.raises(SocketGoneError, match="has disconnected"):
        await asking
    with pytest.raises(SocketGoneError, match="has disconnected"):
        await remote.emit_with_ack("question")


async def test_join_of_a_socket_that_is_about_to_be_disconnected_leaves_no_ghost() -> None:
    harness = Harness(request_timeout_s=LIMIT_S)
    for _ in range(2 * SLICE_DISCONNECTS):
        await harness.connected()
    *_, last = harness.of("/").sockets.values()
    disconnecting = asyncio.create_task(harness.of("/").disconnect_sockets())
    await asyncio.sleep(0)
    assert last.connected  # the first slice has been disconnected
    with pytest.raises(SocketGoneError, match="cannot join"):
        await last.join("lobby")
    await disconnecting
    assert await harness.of("/").rooms() == set()
    assert await harness.of("/").to("lobby").emit_with_ack("question") == []
