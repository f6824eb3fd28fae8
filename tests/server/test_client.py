"""`Client`: which packet is allowed in which state, by the rules of the JavaScript server."""

import asyncio
import json
from typing import Any

import pytest

from tests.support.fake_engine import FakeSession, Harness
from tests.support.timing import wait_until
from zmqio.adapter.local import LocalAdapter
from zmqio.engine.server import ClientRequest
from zmqio.server.client import Client
from zmqio.server.fanout import SLICE_MEMBERS
from zmqio.server.namespace import Namespace
from zmqio.server.socket import Socket


async def test_connect_packet_is_confirmed_with_a_sid() -> None:
    harness = Harness()
    harness.of("/")
    client, session = harness.client()
    client.message("0")
    await harness.settle()
    (sid,) = harness.of("/").sockets
    assert session.sent == [f'0{{"sid":"{sid}"}}']


async def test_unknown_namespace_is_refused_by_name() -> None:
    harness = Harness()
    client, session = harness.client()
    client.message("0/nowhere,")
    await harness.settle()
    assert session.sent == ['4/nowhere,{"message":"Invalid namespace"}']
    assert session.closed_with is None


@pytest.mark.parametrize("text", ['2["event"]', "3[]", "1", '30["x"]', "0/other,", '4{"message":"x"}'])
async def test_unexpected_packet_closes_the_connection(text: str) -> None:
    harness = Harness()
    client, session = await harness.connected()
    if text == "0/other,":
        client.message("0")  # CONNECT twice
    else:
        client, session = harness.client()  # a client that has not joined yet
        client.message(text)
    await harness.settle()
    assert session.closed_with == "forced close"


@pytest.mark.parametrize("text", ["", "9", "2", "2{}", '2["a"', "51-[]", "2[null]", '2["connect"]'])
async def test_malformed_packet_closes_the_connection_as_a_parse_error(text: str) -> None:
    harness = Harness()
    client, session = await harness.connected()
    client.message(text)
    assert session.closed_with == "parse error"
    assert harness.runtime.counters["packets_malformed"] == 1


async def test_namespaces_share_a_connection_and_stay_separate() -> None:
    harness, received = Harness(), []
    harness.of("/a").on("x", lambda socket: received.append("a"))
    harness.of("/b").on("x", lambda socket: received.append("b"))
    client, _ = await harness.connected("/a")
    client.message("0/b,")
    await harness.settle()
    client.message('2/b,["x"]')
    await harness.settle()
    assert received == ["b"]


async def test_closed_connection_removes_every_socket_with_the_reason() -> None:
    harness, reasons = Harness(), []
    for name in ("/", "/a"):
        harness.of(name).on("disconnect", lambda socket, reason: reasons.append((socket.namespace, reason)))
    client, _ = await harness.connected()
    client.message("0/a,")
    await harness.settle()
    client.closed("transport close")
    await harness.settle()
    assert sorted(reasons) == [("/", "transport close"), ("/a", "transport close")]
    assert not harness.of("/").sockets
    assert not harness.of("/a").sockets


async def test_client_may_leave_a_namespace_and_join_again() -> None:
    harness, reasons = Harness(), []
    harness.of("/").on("disconnect", lambda socket, reason: reasons.append(reason))
    client, session = await harness.connected()
    client.message("1")
    await harness.settle()
    assert reasons == ["client namespace disconnect"]
    client.message("0")
    await harness.settle()
    assert len(harness.of("/").sockets) == 1
    assert session.closed_with is None


async def test_packets_sent_before_a_server_side_disconnect_are_ignored() -> None:
    harness = Harness()
    client, session = await harness.connected()
    (socket,) = harness.of("/").sockets.values()
    await socket.disconnect()
    client.message('2["late"]')
    assert session.sent[-1] == "1"
    assert session.closed_with is None


async def test_disconnect_with_close_leaves_all_namespaces_and_ends_the_connection() -> None:
    harness = Harness()
    client, session = await harness.connected()
    harness.of("/a")
    client.message("0/a,")
    await harness.settle()
    (socket,) = harness.of("/").sockets.values()
    await socket.disconnect(close=True)
    assert session.sent[-2:] == ["1", "1/a,"]
    assert session.closed_with == "forced server close"


async def test_connection_that_joins_no_namespace_is_closed() -> None:
    harness = Harness(connect_timeout_s=0.01)
    _, session = harness.client()
    await wait_until(lambda: session.closed_with is not None, "the connection to be closed")
    assert session.closed_with == "forced close"


async def test_connect_timeout_also_applies_to_a_refused_client() -> None:
    harness = Harness(connect_timeout_s=0.05)

    def refuse(socket: Socket) -> Any:
        raise ConnectionError("no")

    harness.of("/").on("connect", refuse)
    client, session = harness.client()
    client.message("0")
    await wait_until(lambda: session.closed_with is not None, "the connection to be closed")
    assert session.sent == ['4{"message":"Internal server error"}']


async def test_namespaces_of_a_client_share_what_its_first_request_contains() -> None:
    harness = Harness()
    client, _ = await harness.connected(auth='{"a":1}')
    harness.of("/b")
    client.message('0/b,{"a":2}')
    await harness.settle()
    first, second = [next(iter(harness.of(name).sockets.values())).handshake for name in ("/", "/b")]
    assert (first.auth, second.auth, first.url, first.query) == ({"a": 1}, {"a": 2}, second.url, second.query)
    assert first.query is second.query


async def test_client_that_sends_faster_than_handlers_run_is_slowed_down() -> None:
    harness, gate = Harness(max_pending_events=4), asyncio.Event()

    async def slow(socket: Socket) -> None:
        await gate.wait()

    harness.of("/").on("slow", slow)
    client, _ = await harness.connected()
    signals = [client.message('2["slow"]') for _ in range(10)]
    assert any(signal is None for signal in signals[:4])
    assert signals[-1] is not None
    gate.set()
    await signals[-1]
    await harness.settle()


async def test_namespace_beyond_the_limit_is_refused_and_may_be_tried_again() -> None:
    harness = Harness(max_namespaces_per_client=2)
    for name in ("/a", "/b", "/c"):
        harness.of(name)
    client, session = harness.client()
    for name in ("/a", "/b", "/c"):
        client.message(f"0{name},")
    await harness.settle()
    assert session.sent[0] == '4/c,{"message":"Too many namespaces"}'
    assert harness.runtime.counters["namespaces_refused"] == 1
    client.message("1/a,")
    client.message("0/c,")
    await harness.settle()
    assert str(session.sent[-1]).startswith('0/c,{"sid":')
    assert session.closed_with is None


async def test_graceful_close_flushes_queued_broadcasts_and_sends_no_disconnect_packet() -> None:
    harness = Harness()
    client, session = await harness.connected()
    await harness.connected()
    await harness.of("/").emit("small")
    crowd = tuple(harness.of("/").sockets)
    waiting = [f"unknown-{number}" for number in range(2 * SLICE_MEMBERS)]
    writers = {sid: socket.direct_writer for sid, socket in harness.of("/").sockets.items()}
    harness.runtime.fanout.deliver([*waiting, *crowd], writers, ("big",), volatile=False)  # type: ignore[arg-type]
    assert harness.runtime.fanout.busy
    session.sent.clear()
    client.close_gracefully("server shutting down")
    assert (session.sent, session.closed_with) == (["big"], "server shutting down")
    assert harness.runtime.fanout.busy


LARGE = f'2["slow",[{",".join(["[]"] * 30_000)}]]'


def slow_harness(**options: Any) -> tuple[Harness, asyncio.Event, list[int]]:
    """A server whose handler of `slow` waits for the event."""
    harness, may_end, handled = Harness(max_pending_event_bytes=4 << 20, **options), asyncio.Event(), []

    @harness.of("/").on("slow")
    async def slow(socket: Socket, value: list[Any]) -> None:
        await may_end.wait()
        handled.append(len(value))

    return harness, may_end, handled


async def test_pending_events_are_bounded_in_bytes_of_decoded_values() -> None:
    """90 KB of `[[],[],...]` take 2.5 MB; `max_pending_events` would allow 100 of them."""
    harness, may_end, handled = slow_harness()
    client, _ = await harness.connected()
    assert client.message(LARGE) is None
    room = client.message(LARGE)
    assert room is not None
    assert harness.runtime.counters["pending_events_too_large"] == 1
    may_end.set()
    await room
    await harness.settle()
    assert handled == [30_000] * 2
    assert client.event_budget.bytes == 0


async def test_bytes_are_bounded_while_an_acknowledgement_is_awaited_too() -> None:
    harness, may_end, _ = slow_harness()

    @harness.of("/").on("ask")
    async def ask(socket: Socket) -> None:
        await socket.emit_with_ack("question", timeout=0.01)

    client, _ = await harness.connected()
    assert client.message('2["ask"]') is None
    await asyncio.sleep(0)
    rooms = [client.message(LARGE) for _ in range(3)]
    assert [room is not None for room in rooms] == [True, True, True]
    may_end.set()
    await harness.settle()


async def test_large_pending_events_of_a_client_that_has_gone_are_dropped_and_small_ones_handled() -> None:
    harness, may_end, handled = slow_harness()
    small, _ = await harness.connected()
    large, _ = await harness.connected()
    for _ in range(3):
        small.message('2["slow",[1]]')
        large.message(LARGE)
    await asyncio.sleep(0)
    small.closed("transport close")
    large.closed("transport close")
    assert harness.runtime.counters["events_dropped"] == 2
    assert large.event_budget.waiting_bytes == 0
    may_end.set()
    await harness.settle()
    assert sorted(handled) == [1, 1, 1, 30_000]


async def test_attachments_count_and_belong_to_their_packet() -> None:
    harness, may_end, _ = slow_harness()
    client, _ = await harness.connected()
    client.message('51-["slow",{"_placeholder":true,"num":0}]')
    client.message(b"x" * 1_000_000)
    assert 1_000_000 < client.event_budget.bytes < 1_010_000
    may_end.set()
    await harness.settle()


async def test_auth_has_a_limit_of_its_own() -> None:
    harness = Harness()
    harness.of("/")
    client, session = harness.client()
    for auth in ({"token": "x" * 40_000}, {"list": [[]] * 1_000}):
        client.message(f"0{json.dumps(auth)}")
        await harness.settle()
        assert session.sent.pop() == '4{"message":"auth takes more than 32768 bytes in memory; send less"}'
    assert harness.runtime.counters["auths_refused"] == 2
    client.message(f"0{json.dumps({'token': 'x' * 30_000})}")
    await harness.settle()
    assert str(session.sent[0]).startswith('0{"sid"')


@pytest.mark.parametrize("stage", ["middleware", "connect"])
async def test_hanging_function_is_cancelled_when_the_client_goes(stage: str) -> None:
    harness, ended, left = Harness(), [], []

    async def hang(socket: Socket) -> None:
        await socket.join("room")
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(stage)

    if stage == "middleware":
        harness.of("/").use(hang)
    else:
        harness.of("/").on("connect", hang)
    harness.of("/").on("disconnect", lambda socket, reason: left.append(reason))
    client, _ = harness.client()
    client.message("0")
    await asyncio.sleep(0.01)
    assert len(harness.runtime.tasks) == 1
    client.closed("transport close")
    await harness.settle()
    assert ended == [stage]
    assert left == (["transport close"] if stage == "connect" else [])
    assert not harness.of("/").occupied
    assert await harness.of("/").rooms() == set()


@pytest.mark.parametrize("stage", ["middleware", "connect"])
async def test_function_that_takes_too_long_is_cancelled_and_the_client_refused(stage: str) -> None:
    harness = Harness(connect_handler_timeout_s=0.01)

    async def hang(socket: Socket) -> None:
        await asyncio.Event().wait()

    if stage == "middleware":
        harness.of("/").use(hang)
    else:
        harness.of("/").on("connect", hang)
    client, session = harness.client()
    client.message("0")
    await wait_until(lambda: session.sent, "the refusal")
    assert session.sent == ['4{"message":"the server took too long to admit the client; try again"}']
    assert harness.runtime.counters["connect_handlers_timed_out"] == 1
    assert not harness.of("/").occupied
    client.message("0")  # the client may try again
    await wait_until(lambda: len(session.sent) == 2, "the second refusal")
    assert session.closed_with is None


async def test_rule_that_takes_too_long_refuses_the_client() -> None:
    harness = Harness(connect_handler_timeout_s=0.01)

    async def find(_name: str, _auth: Any) -> None:
        await asyncio.Event().wait()

    session = FakeSession()
    request = ClientRequest("GET", "/socket.io/", "EIO=4", {}, "127.0.0.1", False, 1.5)
    client = Client(session, request, harness.runtime, find)  # type: ignore[arg-type]
    client.message("0/room,")
    await wait_until(lambda: session.sent, "the refusal")
    assert session.sent == ['4/room,{"message":"the server took too long to admit the client; try again"}']


async def test_function_that_disconnects_its_client_is_not_cancelled() -> None:
    harness, done = Harness(), []

    @harness.of("/").on("connect")
    async def connect(socket: Socket) -> None:
        await socket.disconnect(close=True)
        client.closed("forced server close")
        await asyncio.sleep(0.001)
        done.append(socket.id)

    client, _ = harness.client()
    client.message("0")
    await harness.settle()
    assert len(done) == 1


async def test_client_is_answered_if_the_adapter_fails_to_open_and_may_try_again() -> None:
    harness = Harness()

    class FailsOnce(LocalAdapter):
        failed = False

        async def open(self) -> None:
            if not FailsOnce.failed:
                FailsOnce.failed = True
                raise OSError("no disk")

    namespace = Namespace("/", lambda opened: opened.open(harness.runtime, FailsOnce))

    async def find(_name: str, _auth: Any) -> Namespace:
        return namespace

    harness._find = find  # type: ignore[method-assign]
    client, session = harness.client()
    for _ in range(2):
        client.message("0")
        await harness.settle()
    (sid,) = namespace.sockets
    assert session.sent == ['4{"message":"Internal server error"}', f'0{{"sid":"{sid}"}}']
    assert harness.runtime.counters["connects_failed"] == 1
