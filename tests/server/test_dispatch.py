"""`EventDispatcher`, through a namespace over a fake engine: listeners, middleware, handler, in this order."""

import asyncio
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.support.fake_engine import Harness
from zmqio.server.socket import Socket


async def test_listeners_run_before_middleware_and_the_handler_runs_last() -> None:
    harness, order = Harness(), []

    @harness.of("/").on("connect")
    async def connect(socket: Socket) -> None:
        @socket.use
        async def middleware(event: str, args: list[Any]) -> None:
            order.append(("middleware", event, list(args)))
            args[0] = "changed"

        @socket.on_any
        async def listener(event: str, *args: Any) -> None:
            order.append(("on_any", event, list(args)))

    harness.of("/").on_any(lambda socket, event, *args: order.append(("namespace", event, list(args))))
    harness.of("/").on("x", lambda socket, value: order.append(("handler", value)))
    client, _ = await harness.connected()
    client.message('2["x",1]')
    await harness.settle()
    assert order == [
        ("namespace", "x", [1]),
        ("on_any", "x", [1]),
        ("middleware", "x", [1]),
        ("handler", "changed"),
    ]


async def test_rejected_event_is_dropped_counted_and_not_acknowledged() -> None:
    harness, handled = Harness(), []

    @harness.of("/").on("connect")
    def connect(socket: Socket) -> None:
        @socket.use
        def only_good(event: str, args: list[Any]) -> None:
            if args == ["bad"]:
                raise PermissionError("no")

        socket.use(lambda event, args: handled.append("second middleware"))

    harness.of("/").on("x", lambda socket, value: value)
    client, session = await harness.connected()
    with capture_logs() as logs:
        client.message('21["x","bad"]')
        client.message('22["x","good"]')
        await harness.settle()
    assert session.sent[1:] == ['32["good"]']
    assert handled == ["second middleware"]
    assert harness.runtime.counters["events_rejected"] == 1
    assert [(entry["event"], entry["log_level"]) for entry in logs] == [("event_rejected", "debug")]
    assert session.closed_with is None


async def test_failing_listener_is_logged_and_does_not_stop_the_handler() -> None:
    harness = Harness()
    harness.of("/").on_any(lambda *_: 1 / 0)
    harness.of("/").on("x", lambda socket: "ok")
    client, session = await harness.connected()
    with capture_logs() as logs:
        client.message('20["x"]')
        await harness.settle()
    assert session.sent[1:] == ['30["ok"]']
    assert [entry["event"] for entry in logs] == ["handler_failed"]


async def test_async_handler_that_awaits_something_cancelled_fails_and_ends_no_task() -> None:
    harness, received = Harness(), []

    async def wait_for_cancelled(_socket: Socket, number: int) -> None:
        received.append(number)
        future = asyncio.get_running_loop().create_future()
        future.cancel()
        await future

    harness.of("/").on("x", wait_for_cancelled)
    client, _ = await harness.connected()
    with capture_logs() as logs:
        client.message('2["x",1]')
        client.message('2["x",2]')
        await harness.settle()
    assert received == [1, 2]
    assert [entry["event"] for entry in logs] == ["handler_failed"] * 2
    assert harness.runtime.counters["handlers_run"] == 2


async def test_catch_all_listeners_receive_events_without_a_handler() -> None:
    harness, received = Harness(), []
    harness.of("/").on_any(lambda socket, event, *args: received.append((event, args)))
    client, _ = await harness.connected()
    client.message('2["unknown",1,2]')
    await harness.settle()
    assert received == [("unknown", (1, 2))]


async def test_failures_are_logged_at_most_ten_times_per_event_and_all_are_counted() -> None:
    harness = Harness()
    harness.of("/").on("a", lambda socket: 1 / 0)
    harness.of("/").on("b", lambda socket: 1 / 0)
    client, _ = await harness.connected()
    with capture_logs() as logs:
        for _ in range(60):
            client.message('2["a"]')
        client.message('2["b"]')
        await harness.settle()
    failed = [entry["event_name"] for entry in logs if entry["event"] == "handler_failed"]
    assert failed == ["a"] * 10 + ["b"]
    assert harness.runtime.counters["handlers_failed"] == 61


async def test_events_without_a_handler_are_counted_and_logged_at_a_limited_rate() -> None:
    harness = Harness()
    client, _ = await harness.connected()
    with capture_logs() as logs:
        for number in range(60):
            client.message(f'2["unknown {number}"]')
        await harness.settle()
    assert [entry["event"] for entry in logs] == ["event_unhandled"] * 10
    assert harness.runtime.counters["events_unhandled"] == 60


async def test_middleware_of_a_socket_rejects_an_event_by_returning_false() -> None:
    harness, handled = Harness(), []
    harness.of("/").on("connect", lambda socket: socket.use(lambda event, args: args != [0]) and None)
    harness.of("/").on("x", lambda socket, number: handled.append(number))
    client, _ = await harness.connected()
    client.message('2["x",0]')
    client.message('2["x",1]')
    await harness.settle()
    assert handled == [1]
    assert harness.runtime.counters["events_rejected"] == 1


@pytest.mark.parametrize("place", ["handler", "listener", "middleware"])
@pytest.mark.parametrize("concurrent", [False, True])
async def test_cancelled_error_fails_one_event_and_the_next_are_handled(place: str, concurrent: bool) -> None:
    harness, handled = Harness(concurrent_events=concurrent, max_pending_events=1), []

    async def await_something_cancelled(*args: Any) -> None:
        if "bad" in args or ["bad"] in args:
            future = asyncio.get_running_loop().create_future()
            future.cancel()
            await future

    async def handle(socket: Socket, text: str) -> None:
        if place == "handler":
            await await_something_cancelled(text)
        handled.append(text)

    async def connect(socket: Socket) -> None:
        if place == "middleware":
            socket.use(await_something_cancelled)
        if place == "listener":
            socket.on_any(await_something_cancelled)

    harness.of("/").on("connect", connect)
    harness.of("/").on("x", handle)
    client, _ = await harness.connected()
    for text in ("bad", "good", "bad", "better"):
        client.message(f'2["x","{text}"]')
    await harness.settle()
    assert handled == (["bad", "good", "bad", "better"] if place == "listener" else ["good", "better"])
    assert client.event_budget.bytes == 0


async def test_catch_all_handler_acknowledges_events_without_a_handler_of_their_own() -> None:
    harness = Harness()
    harness.of("/").on("known", lambda socket: "known")
    harness.of("/").on("*", lambda socket, event, *args: [event, *args])
    client, session = await harness.connected()
    for text in ('21["known"]', '22["other",1]', '23["*",2]', '24["connection",3]'):
        client.message(text)
    await harness.settle()
    assert session.sent[1:] == ['31["known"]', '32[["other",1]]', '33[["*",2]]', '34[["connection",3]]']
    assert harness.runtime.counters["events_unhandled"] == 0


@pytest.mark.parametrize(("sent", "name"), [("5", "5"), ("5.0", "5"), ("1.5", "1.5"), ("1e21", "1e+21")])
async def test_numeric_event_reaches_the_handler_of_that_text(sent: str, name: str) -> None:
    harness, heard = Harness(), []
    harness.of("/").on_any(lambda socket, event, *args: heard.append(event))
    harness.of("/").on(name, lambda socket, text: text)
    client, session = await harness.connected()
    client.message(f'27[{sent},"x"]')
    await harness.settle()
    assert session.sent[1:] == ['37["x"]']
    assert heard == [name]
