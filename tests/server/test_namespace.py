"""`Namespace`: how a client enters, sends and leaves, with exact wire texts."""

import asyncio
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.support.fake_engine import Harness
from tests.support.timing import wait_until
from zmqio.adapter.local import LocalAdapter
from zmqio.exceptions import ConnectRefused, RequestTimeoutError
from zmqio.server.socket import Socket


async def test_connect_packet_precedes_events_of_the_connect_handler() -> None:
    harness = Harness()

    @harness.of("/").on("connect")
    async def connect(socket: Socket) -> None:
        await socket.emit("hello", 1)
        await socket.join("lobby")
        await harness.of("/").to("lobby").emit("joined", 2)
        await asyncio.sleep(0)

    client, session = harness.client()
    client.message("0")
    await harness.settle()
    (sid,) = harness.of("/").sockets
    assert session.sent == [f'0{{"sid":"{sid}"}}', '2["hello",1]', '2["joined",2]']


async def test_auth_payload_reaches_the_connect_handler() -> None:
    harness, seen = Harness(), []
    harness.of("/").on("connect", lambda socket, auth: seen.append((auth, socket.handshake.query["token"])))
    await harness.connected(auth='{"token":"t"}')
    assert seen == [({"token": "t"}, "abc")]


async def test_refusal_carries_message_and_data_and_drops_queued_events() -> None:
    harness = Harness()

    @harness.of("/").on("connect")
    async def connect(socket: Socket) -> None:
        await socket.emit("never seen")
        raise ConnectRefused("not you", {"code": 7})

    client, session = harness.client()
    client.message("0")
    await harness.settle()
    assert session.sent == ['4{"message":"not you","data":{"code":7}}']
    assert not harness.of("/").sockets
    client.message("0")  # the client may try again
    await harness.settle()
    assert len(session.sent) == 2


async def test_middleware_runs_in_order_and_may_refuse() -> None:
    harness, order = Harness(), []

    @harness.of("/").use
    async def first(socket: Socket) -> None:
        order.append(1)

    @harness.of("/").use
    def second(socket: Socket) -> None:
        order.append(2)
        raise ConnectRefused("no")

    client, session = harness.client()
    client.message("0")
    await harness.settle()
    assert order == [1, 2]
    assert session.sent == ['4{"message":"no"}']


async def test_failing_connect_handler_is_logged_and_its_error_is_not_sent() -> None:
    harness = Harness()
    harness.of("/").on("connect", lambda socket: 1 / 0)
    client, session = harness.client()
    with capture_logs() as logs:
        client.message("0")
        await harness.settle()
    assert session.sent == ['4{"message":"Internal server error"}']
    assert logs[0]["event"] == "connect_handler_failed"


@pytest.mark.parametrize(
    ("result", "answer"),
    [(None, "37[]"), ("x", '37["x"]'), ((1, 2), "37[1,2]"), ([1, 2], "37[[1,2]]"), (False, "37[false]")],
)
async def test_result_of_a_handler_acknowledges_the_event(result: Any, answer: str) -> None:
    harness = Harness()
    harness.of("/").on("ask", lambda socket: result)
    client, session = await harness.connected()
    client.message('27["ask"]')
    await harness.settle()
    assert session.sent[1:] == [answer]


async def test_binary_arguments_are_received_and_sent() -> None:
    harness = Harness()
    harness.of("/").on("echo", lambda socket, data: data)
    client, session = await harness.connected()
    client.message('51-3["echo",{"_placeholder":true,"num":0}]')
    client.message(b"\x00\xff")
    await harness.settle()
    assert session.sent[1:] == ['61-3[{"_placeholder":true,"num":0}]', b"\x00\xff"]


async def test_events_of_one_client_are_handled_in_order() -> None:
    harness, handled = Harness(), []

    async def slower_each_time(socket: Socket, number: int) -> None:
        for _ in range(10 - number):
            await asyncio.sleep(0)
        handled.append(number)

    harness.of("/").on("n", slower_each_time)
    client, _ = await harness.connected()
    for number in range(10):
        client.message(f'2["n",{number}]')
    await harness.settle()
    assert handled == list(range(10))


async def test_disconnect_handler_runs_after_earlier_events_and_sees_the_rooms() -> None:
    harness, calls = Harness(), []

    async def slow(socket: Socket) -> None:
        await asyncio.sleep(0)
        calls.append("event")

    harness.of("/").on("connect", lambda socket: socket.join("lobby"))
    harness.of("/").on("slow", slow)
    harness.of("/").on("disconnect", lambda socket, reason: calls.append((reason, "lobby" in socket.rooms)))
    client, _ = await harness.connected()
    client.message('2["slow"]')
    client.closed("transport close")
    await harness.settle()
    assert calls == ["event", ("transport close", True)]


async def test_disconnect_during_the_connect_handler_cancels_it_and_runs_the_disconnect_handler() -> None:
    harness, calls, gate = Harness(), [], asyncio.Event()

    @harness.of("/").on("connect")
    async def connect(socket: Socket) -> None:
        await gate.wait()
        calls.append("connect done")

    harness.of("/").on("disconnect", lambda socket, reason: calls.append(reason))
    client, session = harness.client()
    client.message("0")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    client.closed("transport close")
    gate.set()
    await harness.settle()
    assert calls == ["transport close"]
    assert session.sent == []


async def test_failing_handler_is_logged_counted_and_does_not_end_the_connection() -> None:
    harness = Harness()
    harness.of("/").on("fail", lambda socket: 1 / 0)
    harness.of("/").on("work", lambda socket: "ok")
    client, session = await harness.connected()
    with capture_logs() as logs:
        client.message('20["fail"]')
        client.message('21["work"]')
        await harness.settle()
    assert session.sent[1:] == ['31["ok"]']
    assert session.closed_with is None
    assert harness.runtime.counters["handlers_failed"] == 1
    assert [entry["event"] for entry in logs] == ["handler_failed"]


async def test_wrong_number_of_arguments_is_logged_with_both_numbers() -> None:
    harness = Harness()
    harness.of("/").on("two", lambda socket, a, b: None)
    client, _ = await harness.connected()
    with capture_logs() as logs:
        client.message('2["two",1]')
        await harness.settle()
    assert logs[0]["event"] == "event_arguments_mismatched"
    assert (logs[0]["received"], logs[0]["handler_takes"]) == (1, "2")


@pytest.mark.parametrize("event", ["connect_error", "disconnecting", "newListener"])
async def test_reserved_events_cannot_be_handled(event: str) -> None:
    with pytest.raises(ValueError, match="reserved"):
        Harness().of("/").on(event)


async def test_broadcast_with_ack_collects_every_acknowledgement() -> None:
    harness = Harness()
    clients = [await harness.connected() for _ in range(3)]
    asking = asyncio.ensure_future(harness.of("/").timeout(10).emit_with_ack("q", "x"))
    await wait_until(lambda: all(len(session.sent) == 2 for _, session in clients), "the question to be sent")
    for number, (client, session) in enumerate(clients):
        assert session.sent[1] == '20["q","x"]'
        client.message(f"30[{number}]")
    assert await asking == [0, 1, 2]


async def test_broadcast_with_ack_reports_partial_acknowledgements() -> None:
    harness = Harness()
    (client, session), _ = [await harness.connected() for _ in range(2)]
    asking = asyncio.ensure_future(harness.of("/").timeout(1).emit_with_ack("q"))
    await wait_until(lambda: len(session.sent) == 2, "the question to be sent")
    client.message('30["here"]')
    with pytest.raises(RequestTimeoutError) as caught:
        await asking
    assert caught.value.responses == ["here"]
    assert (caught.value.expected, caught.value.received) == (2, 1)


async def test_concurrent_events_of_one_client_overlap() -> None:
    harness, gate, order = Harness(concurrent_events=True), asyncio.Event(), []

    @harness.of("/").on("wait")
    async def wait(socket: Socket) -> str:
        await gate.wait()
        order.append("wait")
        return "waited"

    @harness.of("/").on("open")
    async def open_gate(socket: Socket) -> None:
        order.append("open")
        gate.set()

    harness.of("/").on("disconnect", lambda socket, reason: order.append(reason))
    client, _ = await harness.connected()
    client.message('21["wait"]')
    client.message('2["open"]')
    client.closed("transport close")
    await harness.settle()
    assert order == ["open", "wait", "transport close"]


async def test_concurrent_opens_open_a_namespace_once() -> None:
    opened, gate = [], asyncio.Event()

    class Slow(LocalAdapter):
        async def open(self) -> None:
            opened.append(self.namespace)
            await gate.wait()

    harness = Harness()
    namespace = harness.of("/")
    opening = [asyncio.ensure_future(namespace.open(harness.runtime, Slow)) for _ in range(3)]
    await asyncio.sleep(0)
    assert not namespace.is_open
    gate.set()
    await asyncio.gather(*opening)
    assert opened == ["/"]
    assert namespace.is_open


async def test_disconnect_in_the_connect_handler_sends_connect_and_disconnect() -> None:
    harness, calls = Harness(), []
    harness.of("/").on("connect", lambda socket: socket.disconnect())
    harness.of("/").on("disconnect", lambda socket, reason: calls.append(reason))
    client, session = harness.client()
    client.message("0")
    await harness.settle()
    assert [str(text)[:2] for text in session.sent] == ["0{", "1"]
    assert calls == ["server namespace disconnect"]


async def test_disconnect_after_an_ack_in_the_connect_handler_runs_the_disconnect_handler_once() -> None:
    harness, calls, gate = Harness(), [], asyncio.Event()

    @harness.of("/").on("connect")
    async def connect(socket: Socket) -> None:
        await socket.emit_with_ack("q", timeout=10)
        await gate.wait()
        calls.append("connect done")

    harness.of("/").on("disconnect", lambda socket, reason: calls.append(reason))
    client, session = harness.client()
    client.message("0")
    await wait_until(lambda: len(session.sent) == 2, "the question to be sent")
    client.message("30[]")
    client.closed("transport close")
    gate.set()
    await harness.settle()
    assert calls == ["transport close"]


async def test_disconnect_handler_runs_when_the_connect_handler_fails_after_a_disconnect() -> None:
    harness, calls, gate = Harness(), [], asyncio.Event()

    @harness.of("/").on("connect")
    async def connect(socket: Socket) -> None:
        try:
            await gate.wait()
        except asyncio.CancelledError:
            await socket.join("lobby")

    harness.of("/").on("disconnect", lambda socket, reason: calls.append(reason))
    client, _ = harness.client()
    client.message("0")
    await wait_until(lambda: bool(harness.of("/").is_open and harness.of("/").sockets), "the handler to run")
    client.closed("ping timeout")
    gate.set()
    with capture_logs() as logs:
        await harness.settle()
    assert calls == ["ping timeout"]
    assert [entry["log_level"] for entry in logs if entry["event"] == "connect_handler_interrupted"] == ["debug"]


async def test_refused_client_leaves_rooms_that_middleware_joined() -> None:
    harness = Harness()

    @harness.of("/").use
    async def tenant(socket: Socket) -> None:
        await socket.join("tenant:1")
        raise ConnectRefused("no")

    client, _ = harness.client()
    client.message("0")
    await harness.settle()
    assert await harness.of("/").rooms() == set()


async def test_packets_queued_for_a_slow_connect_handler_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zmqio.server.socket.MAX_QUEUED_PACKETS", 5)
    harness, gate = Harness(), asyncio.Event()
    harness.of("/").on("connect", lambda socket: gate.wait())
    client, session = harness.client()
    client.message("0")
    await wait_until(lambda: bool(harness.of("/").is_open and harness.of("/").sockets), "the handler to run")
    for number in range(5):
        await harness.of("/").emit("n", number)
        await harness.of("/").volatile.emit("v", number)
    assert session.closed_with is None
    await harness.of("/").emit("one too many")
    assert session.closed_with == "forced server close"
    gate.set()
    await harness.settle()


async def test_ack_behind_more_events_than_the_limit_is_still_read() -> None:
    harness, answers = Harness(max_pending_events=2), []

    @harness.of("/").on("ask")
    async def ask(socket: Socket) -> None:
        answers.append(await socket.emit_with_ack("sure?", timeout=10))

    harness.of("/").on("move", lambda socket: None)
    client, session = await harness.connected()
    client.message('2["ask"]')
    await wait_until(lambda: len(session.sent) == 2, "the question to be sent")
    for _ in range(10):
        assert client.message('2["move"]') is None
    client.message('30["yes"]')
    await harness.settle()
    assert answers == ["yes"]
