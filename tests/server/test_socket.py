"""`Socket`, through a namespace over a fake engine."""

import asyncio
from itertools import pairwise

import pytest

from tests.support.fake_engine import FakeSession, Harness
from tests.support.timing import LIMIT_S, wait_until
from zmqio.engine.direct_write import broadcast_frames
from zmqio.exceptions import PacketError, RequestTimeoutError, SocketGoneError, TopicError
from zmqio.server.client import Client
from zmqio.server.fanout import FanOut
from zmqio.server.socket import SLICE_ROOMS, Socket


async def connect_one(harness: Harness) -> tuple[Socket, Client, FakeSession]:
    client, session = await harness.connected()
    *_, socket = harness.of("/").sockets.values()
    return socket, client, session


async def test_rooms_contain_the_own_id_and_the_joined_rooms() -> None:
    socket, _, _ = await connect_one(Harness())
    await socket.join("a", "b")
    assert socket.rooms == {socket.id, "a", "b"}
    await socket.leave("a", "never joined")
    assert socket.rooms == {socket.id, "b"}


async def test_room_name_with_a_nul_is_refused_before_anything_changes() -> None:
    socket, _, _ = await connect_one(Harness())
    with pytest.raises(TopicError):
        await socket.join("good", "ba\0d")
    assert socket.rooms == {socket.id}


async def test_emit_writes_text_and_attachments() -> None:
    socket, _, session = await connect_one(Harness())
    await socket.emit("news", {"a": 1}, b"\x01")
    assert session.sent[1:] == ['51-["news",{"a":1},{"_placeholder":true,"num":0}]', b"\x01"]


async def test_acknowledgement_of_the_client_is_returned() -> None:
    socket, client, session = await connect_one(Harness())
    asking = asyncio.ensure_future(socket.emit_with_ack("q", timeout=10))
    await asyncio.sleep(0)
    assert session.sent[-1] == '20["q"]'
    client.message('30["yes"]')
    assert await asking == "yes"


async def test_missing_acknowledgement_is_a_timeout() -> None:
    socket, _, _ = await connect_one(Harness())
    with pytest.raises(RequestTimeoutError):
        await socket.emit_with_ack("q", timeout=0.01)


async def test_disconnect_ends_the_wait_for_an_acknowledgement() -> None:
    socket, client, _ = await connect_one(Harness())
    asking = asyncio.ensure_future(socket.emit_with_ack("q"))
    await asyncio.sleep(0)
    client.closed("transport close")
    with pytest.raises(SocketGoneError):
        await asking
    with pytest.raises(SocketGoneError):
        await socket.emit_with_ack("q")


async def test_ack_can_be_awaited_in_the_connect_handler() -> None:
    harness, answers = Harness(), []

    @harness.of("/").on("connect")
    async def connect(socket: Socket) -> None:
        await socket.emit("first")
        answers.append(await socket.emit_with_ack("q", timeout=10))

    client, session = harness.client()
    client.message("0")
    await wait_until(lambda: len(session.sent) == 3, "the question to be sent")
    assert [str(text)[:2] for text in session.sent] == ["0{", '2["'[:2], "20"]
    client.message('30["yes"]')
    await harness.settle()
    assert answers == ["yes"]


async def test_broadcast_of_a_socket_excludes_the_sender() -> None:
    harness = Harness()
    socket, _, mine = await connect_one(harness)
    other, _, theirs = await connect_one(harness)
    await other.join("r")
    await socket.join("r")
    await socket.broadcast.emit("x")
    await socket.to("r").emit("y")
    await socket.except_("r").emit("z")
    assert mine.sent[1:] == []
    assert theirs.sent[1:] == ['2["x"]', '2["y"]']


async def test_disconnected_socket_neither_receives_nor_joins() -> None:
    harness = Harness()
    socket, _, session = await connect_one(harness)
    await socket.join("r")
    await socket.disconnect()
    sent = list(session.sent)
    await socket.emit("x", object())  # not encoded, so that a client that has gone costs nothing
    await harness.of("/").emit("y")
    with pytest.raises(SocketGoneError):
        await socket.join("r2")
    assert session.sent == sent
    assert (socket.connected, socket.gone_reason) == (False, "server namespace disconnect")
    assert "r" in socket.rooms


async def test_direct_emit_does_not_overtake_a_broadcast_in_slices() -> None:
    harness = Harness()
    harness.runtime.fanout = FanOut(broadcast_frames, slice_members=1)
    sockets = [await connect_one(harness) for _ in range(5)]
    await harness.of("/").emit("broadcast")
    for socket, _, _ in sockets:
        await socket.emit("direct")
    for _, _, session in sockets:
        assert session.sent[1:] == ['2["broadcast"]', '2["direct"]']


@pytest.mark.parametrize("use", ["emit", "emit_with_ack", "join", "leave"])
async def test_use_from_another_event_loop_raises_and_names_the_emitter(use: str) -> None:
    socket, _, session = await connect_one(Harness())

    def elsewhere() -> None:
        with pytest.raises(RuntimeError, match=r"zmqio\.Emitter"):
            asyncio.run(getattr(socket, use)("x"))

    await asyncio.to_thread(elsewhere)
    assert session.sent[1:] == []


async def test_reserved_event_is_refused_before_anything_is_sent() -> None:
    socket, _, session = await connect_one(Harness())
    for sending in (socket.emit, socket.emit_with_ack, socket.volatile.emit):
        with pytest.raises(PacketError, match="reserved"):
            await sending("disconnect")
    assert session.sent[1:] == []


async def test_join_and_leave_take_lists_of_rooms() -> None:
    harness = Harness()
    await harness.connected()
    (socket,) = harness.of("/").sockets.values()
    await socket.join(["a", "b"], "c")
    assert socket.rooms == {socket.id, "a", "b", "c"}
    await socket.leave(["a", "c"])
    assert socket.rooms == {socket.id, "b"}


async def test_many_rooms_are_joined_in_slices_between_which_others_are_served() -> None:
    harness = Harness()
    await harness.connected()
    (socket,) = harness.of("/").sockets.values()
    names = [f"room {number}" for number in range(3 * SLICE_ROOMS + 1)]
    sizes: list[int] = []
    joining = asyncio.ensure_future(socket.join(names))
    while not joining.done():
        await asyncio.sleep(0)
        sizes.append(len(socket.rooms))
    assert socket.rooms == {socket.id, *names}
    assert max(b - a for a, b in pairwise([1, *sizes])) == SLICE_ROOMS


async def test_join_of_many_rooms_ends_when_the_client_goes() -> None:
    harness = Harness()
    client, _ = await harness.connected()
    (socket,) = harness.of("/").sockets.values()
    joining = asyncio.ensure_future(socket.join([f"room {number}" for number in range(2 * SLICE_ROOMS)]))
    await asyncio.sleep(0)
    client.closed("transport close")
    with pytest.raises(SocketGoneError):
        await joining
    assert not harness.of("/").adapter.rooms_of(socket.id)


@pytest.mark.parametrize("step", ["join", "leave"])
async def test_room_that_is_not_a_string_names_the_call_and_what_was_meant(step: str) -> None:
    harness = Harness()
    await harness.connected()
    (socket,) = harness.of("/").sockets.values()
    with pytest.raises(TypeError, match=rf"{step}\(\) got 5 of type 'int' as a room; .*did you mean '5'"):
        await getattr(socket, step)(5)


async def test_acknowledgement_without_an_id_resolves_nothing() -> None:
    harness, answers = Harness(), []
    client, _ = await harness.connected()
    (socket,) = harness.of("/").sockets.values()

    async def ask() -> None:
        answers.append(await socket.emit_with_ack("question", timeout=LIMIT_S))

    harness.runtime.tasks.spawn(ask())
    await asyncio.sleep(0)
    client.message('3["without"]')
    client.message('30["with"]')
    await harness.settle()
    assert answers == ["with"]
