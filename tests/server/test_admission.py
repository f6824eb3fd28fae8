"""`Admission`: what a client's socket can do in middleware, and how a client is refused."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.support.fake_engine import FakeSession, Harness
from zmqio.exceptions import ConnectRefused, SocketGoneError
from zmqio.server.socket import Socket


async def _connect(harness: Harness) -> FakeSession:
    client, session = harness.client()
    client.message("0")
    await harness.settle()
    return session


def _errors(logs: Sequence[Mapping[str, Any]]) -> list[str]:
    return [entry["event"] for entry in logs if entry["log_level"] == "error"]


async def test_acknowledgement_cannot_be_awaited_in_middleware() -> None:
    harness, errors = Harness(), []

    @harness.of("/").use
    async def ask(socket: Socket) -> None:
        await socket.join("lobby")
        try:
            await socket.emit_with_ack("token")
        except RuntimeError as error:
            errors.append(str(error))
        raise ConnectRefused("no")

    session = await _connect(harness)
    assert session.sent == ['4{"message":"no"}']
    assert "call it in the connect handler" in errors[0]
    await harness.of("/").to("lobby").emit("secret")
    assert len(session.sent) == 1
    assert await harness.of("/").rooms() == set()


async def test_uncaught_ack_in_middleware_refuses_the_client_at_once() -> None:
    harness = Harness()
    harness.of("/").use(lambda socket: socket.emit_with_ack("token"))
    with capture_logs() as logs:
        session = await _connect(harness)
    assert session.sent == ['4{"message":"Internal server error"}']
    assert "RuntimeError" in str(logs[0])


@pytest.mark.parametrize("close", [False, True])
async def test_disconnect_in_middleware_refuses_the_client(close: bool) -> None:
    harness, calls = Harness(), []

    @harness.of("/").use
    async def reject(socket: Socket) -> None:
        await socket.join("lobby")
        await socket.disconnect(close=close)

    harness.of("/").use(lambda socket: calls.append("second middleware"))
    harness.of("/").on("connect", lambda socket: calls.append("connect"))
    harness.of("/").on("disconnect", lambda socket, reason: calls.append("disconnect"))
    session = await _connect(harness)
    assert session.sent == ['4{"message":"refused"}']
    assert session.closed_with == ("forced server close" if close else None)
    assert calls == []
    assert await harness.of("/").rooms() == set()
    assert not harness.of("/").sockets


async def test_rooms_of_middleware_receive_nothing_before_admission_and_are_kept_after() -> None:
    harness = Harness()

    @harness.of("/").use
    async def join(socket: Socket) -> None:
        await socket.join("a", "b")
        await socket.leave("b")
        await harness.of("/").to("a").emit("too early")
        await socket.emit("direct")

    session = await _connect(harness)
    await harness.of("/").to("a").emit("in time")
    await harness.of("/").to("b").emit("left")
    (sid,) = harness.of("/").sockets
    assert session.sent == [f'0{{"sid":"{sid}"}}', '2["direct"]', '2["in time"]']


async def test_nothing_of_a_client_that_goes_during_middleware_stays() -> None:
    harness, held = Harness(), []

    @harness.of("/").use
    async def wait(socket: Socket) -> None:
        held.append(socket)
        await socket.join("lobby")
        await asyncio.Event().wait()

    client, _ = harness.client()
    client.message("0")
    await asyncio.sleep(0)
    client.closed("transport close")
    await harness.settle()
    assert await harness.of("/").rooms() == set()
    with pytest.raises(SocketGoneError):
        await held[0].join("lobby")


async def test_refused_socket_cannot_join_later() -> None:
    harness, held = Harness(), []

    @harness.of("/").use
    def refuse(socket: Socket) -> None:
        held.append(socket)
        raise ConnectRefused("no")

    await _connect(harness)
    with pytest.raises(SocketGoneError):
        await held[0].join("lobby")
    with pytest.raises(SocketGoneError):
        await held[0].emit_with_ack("x")
    assert await harness.of("/").rooms() == set()


@pytest.mark.parametrize("kind", ["plain", "async"])
@pytest.mark.parametrize("place", ["connect", "middleware"])
async def test_function_that_returns_false_refuses_the_client(place: str, kind: str) -> None:
    harness = Harness()

    async def refuse(socket: Socket) -> bool:
        await socket.join("lobby")
        return False

    function = refuse if kind == "async" else lambda socket: False
    harness.of("/").on("connect", function) if place == "connect" else harness.of("/").use(function)
    session = await _connect(harness)
    assert session.sent == ['4{"message":"Connection rejected by server"}']
    assert not harness.of("/").sockets
    assert await harness.of("/").rooms() == set()


@pytest.mark.parametrize("value", [True, 0, "no", []])
async def test_other_results_admit_the_client_and_are_reported_once(value: object) -> None:
    harness = Harness()
    harness.of("/").use(lambda socket: value)
    harness.of("/").on("connect", lambda socket: value)
    with capture_logs() as logs:
        sessions = [await _connect(harness) for _ in range(3)]
    assert all(str(session.sent[0]).startswith("0") for session in sessions)
    assert [entry["event"] for entry in logs] == ["result_ignored"]
    assert logs[0]["type"] == type(value).__name__


@pytest.mark.parametrize("place", ["connect", "middleware"])
async def test_cancelled_error_of_a_function_refuses_the_client(place: str) -> None:
    harness = Harness()

    async def await_something_cancelled(socket: Socket) -> None:
        await socket.join("lobby")
        future = asyncio.get_running_loop().create_future()
        future.cancel()
        await future

    register = harness.of("/").use if place == "middleware" else harness.of("/").on("connect")
    register(await_something_cancelled)
    client, session = harness.client()
    with capture_logs() as logs:
        for _ in range(2):  # the client may try again
            client.message("0")
            await harness.settle()
    assert session.sent == ['4{"message":"Internal server error"}'] * 2
    assert _errors(logs) == ["connect_handler_failed"] * 2
    assert await harness.of("/").rooms() == set()


@pytest.mark.parametrize("place", ["connect", "middleware"])
async def test_refusal_with_values_that_cannot_be_sent_is_answered(place: str) -> None:
    harness, held = Harness(), []

    def refuse(socket: Socket) -> None:
        held.append(socket)
        raise ConnectRefused("no", {"reason": {1, 2}})

    harness.of("/").use(refuse) if place == "middleware" else harness.of("/").on("connect", refuse)
    with capture_logs() as logs:
        session = await _connect(harness)
    assert session.sent == ['4{"message":"Internal server error"}']
    assert _errors(logs) == ["connect_handler_failed"]
    with pytest.raises(SocketGoneError):
        await held[0].join("lobby")


async def test_broadcast_with_ack_does_not_wait_for_a_client_in_middleware() -> None:
    harness, answers = Harness(request_timeout_s=20.0), []

    @harness.of("/").use
    async def ask_the_room(socket: Socket) -> None:
        await socket.join("lobby")
        answers.append(await harness.of("/").to("lobby").emit_with_ack("question"))

    await asyncio.wait_for(_connect(harness), 10)
    assert answers == [[]]
