"""`Taps`, through a namespace over a fake engine."""

from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.support.fake_engine import Stand
from zmqio.protocol.msgpack_parser import MsgpackParser
from zmqio.server.socket import Socket


async def one(stand: Stand) -> Socket:
    await stand.connected()
    *_, socket = stand.of("/").sockets.values()
    return socket


async def test_socket_that_nothing_hangs_on_pays_nothing() -> None:
    socket = await one(Stand())
    await socket.emit("x")
    socket.off_any()
    socket.off_any_outgoing()
    assert socket.listeners is None


async def test_outgoing_listeners_hear_emits_and_broadcasts_in_order_and_no_acknowledgements() -> None:
    stand, heard = Stand(), []
    stand.of("/").on("ask", lambda socket: "answer")
    client, session = await stand.connected()
    (socket,) = stand.of("/").sockets.values()
    socket.on_any_outgoing(lambda event, *args: heard.append((event, args)))
    await socket.emit("direct", 1)
    await stand.of("/").emit("broadcast", {"a": b"\x01"}, 2)
    await socket.volatile.emit("volatile")
    await stand.of("/").except_(socket.id).emit("not for it")
    client.message('25["ask"]')
    await stand.settle()
    assert heard == [("direct", (1,)), ("broadcast", ({"a": b"\x01"}, 2)), ("volatile", ())]
    assert session.sent[-1] == '35["answer"]'


async def test_outgoing_listeners_hear_what_another_parser_encoded() -> None:
    stand, heard = Stand(), []
    socket = await one(stand)
    stand.runtime.parser = MsgpackParser()
    socket.on_any_outgoing(lambda *args: heard.append(args))
    await stand.of("/").emit("x", b"\x00")
    assert heard == [("x", b"\x00")]


async def test_listeners_of_one_socket_hear_nothing_of_others() -> None:
    stand, heard = Stand(), []
    socket, other = await one(stand), await one(stand)
    socket.on_any_outgoing(lambda *args: heard.append(args))
    await other.emit("x")
    await stand.of("/").to(other.id).emit("y")
    assert heard == []


async def test_listener_from_connection_middleware_hears_broadcasts() -> None:
    stand, heard = Stand(), []
    stand.of("/").use(lambda socket: socket.on_any_outgoing(lambda *args: heard.append(args)) and None)
    await one(stand)
    await stand.of("/").emit("x")
    assert heard == [("x",)]


async def test_listeners_can_be_put_in_front_and_taken_away() -> None:
    stand, heard = Stand(), []
    client, _ = await stand.connected()
    (socket,) = stand.of("/").sockets.values()
    first, second = (lambda *_: heard.append("first")), (lambda *_: heard.append("second"))
    for add, prepend in (
        (socket.on_any, socket.prepend_any),
        (socket.on_any_outgoing, socket.prepend_any_outgoing),
    ):
        add(second)
        prepend(first)

    async def both() -> list[str]:
        heard.clear()
        client.message('2["in"]')
        await stand.settle()
        await stand.of("/").emit("out")
        return list(heard)

    assert await both() == ["first", "second"] * 2
    socket.off_any(first)
    socket.off_any_outgoing(first)
    socket.off_any(print)
    assert await both() == ["second"] * 2
    socket.off_any()
    socket.off_any_outgoing()
    assert await both() == []


async def test_failing_outgoing_listener_is_logged_and_stops_nothing() -> None:
    stand = Stand()
    _, session = await stand.connected()
    (socket,) = stand.of("/").sockets.values()
    socket.on_any_outgoing(lambda *_: 1 / 0)
    with capture_logs() as logs:
        await socket.emit("x")
    assert session.sent[-1] == '2["x"]'
    assert [entry["event"] for entry in logs] == ["outgoing_listener_failed"]


async def test_outgoing_listener_has_to_be_a_plain_function() -> None:
    async def slow(*_: Any) -> None: ...

    with pytest.raises(TypeError, match="plain function"):
        (await one(Stand())).on_any_outgoing(slow)


async def test_broadcast_that_cannot_be_decoded_is_delivered_all_the_same_and_told() -> None:
    stand, heard = Stand(), []
    _, session = await stand.connected()
    (socket,) = stand.of("/").sockets.values()
    socket.on_any_outgoing(lambda *args: heard.append(args))
    with capture_logs() as logs:
        stand.of("/")._members.deliver([socket.id], ("not a packet",))
    assert (heard, session.sent[-1]) == ([], "not a packet")
    assert [entry["event"] for entry in logs] == ["broadcast_decode_failed"]


async def test_outgoing_listener_may_disconnect_others_that_listen() -> None:
    stand, heard = Stand(), []
    sockets = [await one(stand) for _ in range(3)]

    def hear(*_: Any) -> None:
        heard.append(1)
        for socket in sockets:
            socket.disconnect_nowait(close=False)

    for socket in sockets:
        socket.on_any_outgoing(hear)
    await stand.of("/").emit("x")
    assert heard
    assert not stand.of("/").sockets
