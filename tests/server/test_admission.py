"""`Admission`: what a client's socket can do in middleware, and how a client is refused."""

import asyncio

import pytest
from structlog.testing import capture_logs

from tests.support.fake_engine import FakeSession, Stand
from zmqio.exceptions import ConnectRefused, SocketGoneError
from zmqio.server.socket import Socket


async def _connect(stand: Stand) -> FakeSession:
    client, session = stand.client()
    client.message("0")
    await stand.settle()
    return session


async def test_acknowledgement_cannot_be_awaited_in_middleware() -> None:
    stand, errors = Stand(), []

    @stand.of("/").use
    async def ask(socket: Socket) -> None:
        await socket.join("lobby")
        try:
            await socket.emit_with_ack("token")
        except RuntimeError as error:
            errors.append(str(error))
        raise ConnectRefused("no")

    session = await _connect(stand)
    assert session.sent == ['4{"message":"no"}']
    assert "call it in the connect handler" in errors[0]
    await stand.of("/").to("lobby").emit("secret")
    assert len(session.sent) == 1
    assert await stand.of("/").rooms() == set()


async def test_uncaught_ack_in_middleware_refuses_the_client_at_once() -> None:
    stand = Stand()
    stand.of("/").use(lambda socket: socket.emit_with_ack("token"))
    with capture_logs() as logs:
        session = await _connect(stand)
    assert session.sent == ['4{"message":"Internal server error"}']
    assert "RuntimeError" in str(logs[0])


@pytest.mark.parametrize("close", [False, True])
async def test_disconnect_in_middleware_refuses_the_client(close: bool) -> None:
    stand, calls = Stand(), []

    @stand.of("/").use
    async def reject(socket: Socket) -> None:
        await socket.join("lobby")
        await socket.disconnect(close=close)

    stand.of("/").use(lambda socket: calls.append("second middleware"))
    stand.of("/").on("connect", lambda socket: calls.append("connect"))
    stand.of("/").on("disconnect", lambda socket, reason: calls.append("disconnect"))
    session = await _connect(stand)
    assert session.sent == ['4{"message":"refused"}']
    assert session.closed_with == ("forced server close" if close else None)
    assert calls == []
    assert await stand.of("/").rooms() == set()
    assert not stand.of("/").sockets


async def test_rooms_of_middleware_receive_nothing_before_admission_and_are_kept_after() -> None:
    stand = Stand()

    @stand.of("/").use
    async def join(socket: Socket) -> None:
        await socket.join("a", "b")
        await socket.leave("b")
        await stand.of("/").to("a").emit("too early")
        await socket.emit("direct")

    session = await _connect(stand)
    await stand.of("/").to("a").emit("in time")
    await stand.of("/").to("b").emit("left")
    (sid,) = stand.of("/").sockets
    assert session.sent == [f'0{{"sid":"{sid}"}}', '2["direct"]', '2["in time"]']


async def test_nothing_of_a_client_that_goes_during_middleware_stays() -> None:
    stand, held = Stand(), []

    @stand.of("/").use
    async def wait(socket: Socket) -> None:
        held.append(socket)
        await socket.join("lobby")
        await asyncio.Event().wait()

    client, _ = stand.client()
    client.message("0")
    await asyncio.sleep(0)
    client.closed("transport close")
    await stand.settle()
    assert await stand.of("/").rooms() == set()
    with pytest.raises(SocketGoneError):
        await held[0].join("lobby")


async def test_refused_socket_cannot_join_later() -> None:
    stand, held = Stand(), []

    @stand.of("/").use
    def refuse(socket: Socket) -> None:
        held.append(socket)
        raise ConnectRefused("no")

    await _connect(stand)
    with pytest.raises(SocketGoneError):
        await held[0].join("lobby")
    with pytest.raises(SocketGoneError):
        await held[0].emit_with_ack("x")
    assert await stand.of("/").rooms() == set()
