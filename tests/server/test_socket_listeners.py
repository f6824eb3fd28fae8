"""`SocketListeners`, through a namespace over a fake engine."""

from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.support.fake_engine import Harness
from zmqio.protocol.msgpack_parser import MsgpackParser
from zmqio.server.socket import Socket


async def connect_one(harness: Harness) -> Socket:
    await harness.connected()
    *_, socket = harness.of("/").sockets.values()
    return socket


async def test_socket_without_listeners_has_no_lists() -> None:
    socket = await connect_one(Harness())
    await socket.emit("x")
    socket.off_any()
    socket.off_any_outgoing()
    assert socket.listeners is None


async def test_outgoing_listeners_receive_emits_and_broadcasts_but_no_acknowledgements() -> None:
    harness, received = Harness(), []
    harness.of("/").on("ask", lambda socket: "answer")
    client, session = await harness.connected()
    (socket,) = harness.of("/").sockets.values()
    socket.on_any_outgoing(lambda event, *args: received.append((event, args)))
    await socket.emit("direct", 1)
    await harness.of("/").emit("broadcast", {"a": b"\x01"}, 2)
    await socket.volatile.emit("volatile")
    await harness.of("/").except_(socket.id).emit("not for it")
    client.message('25["ask"]')
    await harness.settle()
    assert received == [("direct", (1,)), ("broadcast", ({"a": b"\x01"}, 2)), ("volatile", ())]
    assert session.sent[-1] == '35["answer"]'


async def test_outgoing_listeners_receive_packets_of_another_parser() -> None:
    harness, received = Harness(), []
    socket = await connect_one(harness)
    harness.runtime.parser = MsgpackParser()
    socket.on_any_outgoing(lambda *args: received.append(args))
    await harness.of("/").emit("x", b"\x00")
    assert received == [("x", b"\x00")]


async def test_listeners_of_one_socket_receive_nothing_of_others() -> None:
    harness, received = Harness(), []
    socket, other = await connect_one(harness), await connect_one(harness)
    socket.on_any_outgoing(lambda *args: received.append(args))
    await other.emit("x")
    await harness.of("/").to(other.id).emit("y")
    assert received == []


async def test_listener_from_connection_middleware_receives_broadcasts() -> None:
    harness, received = Harness(), []
    harness.of("/").use(lambda socket: socket.on_any_outgoing(lambda *args: received.append(args)) and None)
    await connect_one(harness)
    await harness.of("/").emit("x")
    assert received == [("x",)]


async def test_listeners_can_be_prepended_and_removed() -> None:
    harness, received = Harness(), []
    client, _ = await harness.connected()
    (socket,) = harness.of("/").sockets.values()
    first, second = (lambda *_: received.append("first")), (lambda *_: received.append("second"))
    for add, prepend in (
        (socket.on_any, socket.prepend_any),
        (socket.on_any_outgoing, socket.prepend_any_outgoing),
    ):
        add(second)
        prepend(first)

    async def both() -> list[str]:
        received.clear()
        client.message('2["in"]')
        await harness.settle()
        await harness.of("/").emit("out")
        return list(received)

    assert await both() == ["first", "second"] * 2
    socket.off_any(first)
    socket.off_any_outgoing(first)
    socket.off_any(print)
    assert await both() == ["second"] * 2
    socket.off_any()
    socket.off_any_outgoing()
    assert await both() == []


async def test_failing_outgoing_listener_is_logged_and_the_event_is_sent() -> None:
    harness = Harness()
    _, session = await harness.connected()
    (socket,) = harness.of("/").sockets.values()
    socket.on_any_outgoing(lambda *_: 1 / 0)
    with capture_logs() as logs:
        await socket.emit("x")
    assert session.sent[-1] == '2["x"]'
    assert [entry["event"] for entry in logs] == ["outgoing_listener_failed"]


async def test_outgoing_listener_must_be_a_plain_function() -> None:
    async def slow(*_: Any) -> None: ...

    with pytest.raises(TypeError, match="plain function"):
        (await connect_one(Harness())).on_any_outgoing(slow)


async def test_broadcast_that_cannot_be_decoded_is_logged_and_delivered() -> None:
    harness, received = Harness(), []
    _, session = await harness.connected()
    (socket,) = harness.of("/").sockets.values()
    socket.on_any_outgoing(lambda *args: received.append(args))
    with capture_logs() as logs:
        harness.of("/")._members.deliver([socket.id], ("not a packet",))
    assert (received, session.sent[-1]) == ([], "not a packet")
    assert [entry["event"] for entry in logs] == ["broadcast_decode_failed"]


async def test_outgoing_listener_may_disconnect_other_listening_sockets() -> None:
    harness, received = Harness(), []
    sockets = [await connect_one(harness) for _ in range(3)]

    def listener(*_: Any) -> None:
        received.append(1)
        for socket in sockets:
            socket.disconnect_nowait(close=False)

    for socket in sockets:
        socket.on_any_outgoing(listener)
    await harness.of("/").emit("x")
    assert received
    assert not harness.of("/").sockets
