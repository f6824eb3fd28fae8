"""`Client`: which packet is allowed in which state, by the rules of the JavaScript server."""

import asyncio
import json
from typing import Any

import pytest

from tests.support.fake_engine import FakeSession, Stand
from tests.support.timing import wait_until
from zmqio.adapter.local import LocalAdapter
from zmqio.engine.server import ClientRequest
from zmqio.server.client import Client
from zmqio.server.fanout import SLICE_MEMBERS
from zmqio.server.namespace import Namespace
from zmqio.server.socket import Socket


async def test_connect_packet_is_confirmed_with_a_sid() -> None:
    stand = Stand()
    stand.of("/")
    client, session = stand.client()
    client.message("0")
    await stand.settle()
    (sid,) = stand.of("/").sockets
    assert session.sent == [f'0{{"sid":"{sid}"}}']


async def test_unknown_namespace_is_refused_by_name() -> None:
    stand = Stand()
    client, session = stand.client()
    client.message("0/nowhere,")
    await stand.settle()
    assert session.sent == ['4/nowhere,{"message":"Invalid namespace"}']
    assert session.closed_with is None


@pytest.mark.parametrize("text", ['2["event"]', "3[]", "1", '30["x"]', "0/other,", '4{"message":"x"}'])
async def test_unexpected_packet_closes_the_connection(text: str) -> None:
    stand = Stand()
    client, session = await stand.connected()
    if text == "0/other,":
        client.message("0")  # CONNECT twice
    else:
        client, session = stand.client()  # a client that has not joined yet
        client.message(text)
    await stand.settle()
    assert session.closed_with == "forced close"


@pytest.mark.parametrize("text", ["", "9", "2", "2{}", '2["a"', "51-[]", "2[null]", '2["connect"]'])
async def test_malformed_packet_closes_the_connection_as_a_parse_error(text: str) -> None:
    stand = Stand()
    client, session = await stand.connected()
    client.message(text)
    assert session.closed_with == "parse error"
    assert stand.runtime.counters["packets_malformed"] == 1


async def test_namespaces_share_a_connection_and_stay_separate() -> None:
    stand, received = Stand(), []
    stand.of("/a").on("x", lambda socket: received.append("a"))
    stand.of("/b").on("x", lambda socket: received.append("b"))
    client, _ = await stand.connected("/a")
    client.message("0/b,")
    await stand.settle()
    client.message('2/b,["x"]')
    await stand.settle()
    assert received == ["b"]


async def test_closed_connection_removes_every_socket_with_the_reason() -> None:
    stand, reasons = Stand(), []
    for name in ("/", "/a"):
        stand.of(name).on("disconnect", lambda socket, reason: reasons.append((socket.namespace, reason)))
    client, _ = await stand.connected()
    client.message("0/a,")
    await stand.settle()
    client.closed("transport close")
    await stand.settle()
    assert sorted(reasons) == [("/", "transport close"), ("/a", "transport close")]
    assert not stand.of("/").sockets
    assert not stand.of("/a").sockets


async def test_client_may_leave_a_namespace_and_join_again() -> None:
    stand, reasons = Stand(), []
    stand.of("/").on("disconnect", lambda socket, reason: reasons.append(reason))
    client, session = await stand.connected()
    client.message("1")
    await stand.settle()
    assert reasons == ["client namespace disconnect"]
    client.message("0")
    await stand.settle()
    assert len(stand.of("/").sockets) == 1
    assert session.closed_with is None


async def test_packets_sent_before_a_server_side_disconnect_are_ignored() -> None:
    stand = Stand()
    client, session = await stand.connected()
    (socket,) = stand.of("/").sockets.values()
    await socket.disconnect()
    client.message('2["late"]')
    assert session.sent[-1] == "1"
    assert session.closed_with is None


async def test_disconnect_with_close_leaves_all_namespaces_and_ends_the_connection() -> None:
    stand = Stand()
    client, session = await stand.connected()
    stand.of("/a")
    client.message("0/a,")
    await stand.settle()
    (socket,) = stand.of("/").sockets.values()
    await socket.disconnect(close=True)
    assert session.sent[-2:] == ["1", "1/a,"]
    assert session.closed_with == "forced server close"


async def test_connection_that_joins_no_namespace_is_closed() -> None:
    stand = Stand(connect_timeout_s=0.01)
    _, session = stand.client()
    await wait_until(lambda: session.closed_with is not None, "the connection to be closed")
    assert session.closed_with == "forced close"


async def test_connect_timeout_also_applies_to_a_refused_client() -> None:
    stand = Stand(connect_timeout_s=0.05)

    def refuse(socket: Socket) -> Any:
        raise ConnectionError("no")

    stand.of("/").on("connect", refuse)
    client, session = stand.client()
    client.message("0")
    await wait_until(lambda: session.closed_with is not None, "the connection to be closed")
    assert session.sent == ['4{"message":"Internal server error"}']


async def test_client_that_sends_faster_than_handlers_run_is_slowed_down() -> None:
    stand, gate = Stand(max_pending_events=4), asyncio.Event()

    async def slow(socket: Socket) -> None:
        await gate.wait()

    stand.of("/").on("slow", slow)
    client, _ = await stand.connected()
    signals = [client.message('2["slow"]') for _ in range(10)]
    assert any(signal is None for signal in signals[:4])
    assert signals[-1] is not None
    gate.set()
    await signals[-1]
    await stand.settle()


async def test_namespace_beyond_the_limit_is_refused_and_may_be_tried_again() -> None:
    stand = Stand(max_namespaces_per_client=2)
    for name in ("/a", "/b", "/c"):
        stand.of(name)
    client, session = stand.client()
    for name in ("/a", "/b", "/c"):
        client.message(f"0{name},")
    await stand.settle()
    assert session.sent[0] == '4/c,{"message":"Too many namespaces"}'
    assert stand.runtime.counters["namespaces_refused"] == 1
    client.message("1/a,")
    client.message("0/c,")
    await stand.settle()
    assert str(session.sent[-1]).startswith('0/c,{"sid":')
    assert session.closed_with is None


async def test_graceful_close_flushes_queued_broadcasts_and_sends_no_disconnect_packet() -> None:
    stand = Stand()
    client, session = await stand.connected()
    await stand.connected()
    await stand.of("/").emit("small")
    crowd = tuple(stand.of("/").sockets)
    waiting = [f"unknown-{number}" for number in range(2 * SLICE_MEMBERS)]
    writers = {sid: socket.direct_writer for sid, socket in stand.of("/").sockets.items()}
    stand.runtime.fanout.deliver([*waiting, *crowd], writers, ("big",), volatile=False)  # type: ignore[arg-type]
    assert stand.runtime.fanout.busy
    session.sent.clear()
    client.close_gracefully("server shutting down")
    assert (session.sent, session.closed_with) == (["big"], "server shutting down")
    assert stand.runtime.fanout.busy


LARGE = f'2["slow",[{",".join(["[]"] * 30_000)}]]'


def slow_stand(**options: Any) -> tuple[Stand, asyncio.Event, list[int]]:
    """A server whose handler of `slow` waits for the event."""
    stand, may_end, handled = Stand(max_pending_event_bytes=4 << 20, **options), asyncio.Event(), []

    @stand.of("/").on("slow")
    async def slow(socket: Socket, value: list[Any]) -> None:
        await may_end.wait()
        handled.append(len(value))

    return stand, may_end, handled


async def test_pending_events_are_bounded_in_bytes_of_decoded_values() -> None:
    """90 KB of `[[],[],...]` take 2.5 MB; `max_pending_events` would allow 100 of them."""
    stand, may_end, handled = slow_stand()
    client, _ = await stand.connected()
    assert client.message(LARGE) is None
    room = client.message(LARGE)
    assert room is not None
    assert stand.runtime.counters["pending_events_too_large"] == 1
    may_end.set()
    await room
    await stand.settle()
    assert handled == [30_000] * 2
    assert client.event_budget.bytes == 0


async def test_bytes_are_bounded_while_an_acknowledgement_is_awaited_too() -> None:
    stand, may_end, _ = slow_stand()

    @stand.of("/").on("ask")
    async def ask(socket: Socket) -> None:
        await socket.emit_with_ack("question", timeout=0.01)

    client, _ = await stand.connected()
    assert client.message('2["ask"]') is None
    await asyncio.sleep(0)
    rooms = [client.message(LARGE) for _ in range(3)]
    assert [room is not None for room in rooms] == [True, True, True]
    may_end.set()
    await stand.settle()


async def test_large_pending_events_of_a_client_that_has_gone_are_dropped_and_small_ones_handled() -> None:
    stand, may_end, handled = slow_stand()
    small, _ = await stand.connected()
    large, _ = await stand.connected()
    for _ in range(3):
        small.message('2["slow",[1]]')
        large.message(LARGE)
    await asyncio.sleep(0)
    small.closed("transport close")
    large.closed("transport close")
    assert stand.runtime.counters["events_dropped"] == 2
    assert large.event_budget.waiting_bytes == 0
    may_end.set()
    await stand.settle()
    assert sorted(handled) == [1, 1, 1, 30_000]


async def test_attachments_count_and_belong_to_their_packet() -> None:
    stand, may_end, _ = slow_stand()
    client, _ = await stand.connected()
    client.message('51-["slow",{"_placeholder":true,"num":0}]')
    client.message(b"x" * 1_000_000)
    assert 1_000_000 < client.event_budget.bytes < 1_010_000
    may_end.set()
    await stand.settle()


async def test_auth_has_a_limit_of_its_own() -> None:
    stand = Stand()
    stand.of("/")
    client, session = stand.client()
    for auth in ({"token": "x" * 40_000}, {"list": [[]] * 1_000}):
        client.message(f"0{json.dumps(auth)}")
        await stand.settle()
        assert session.sent.pop() == '4{"message":"auth takes more than 32768 bytes in memory; send less"}'
    assert stand.runtime.counters["auths_refused"] == 2
    client.message(f"0{json.dumps({'token': 'x' * 30_000})}")
    await stand.settle()
    assert str(session.sent[0]).startswith('0{"sid"')


@pytest.mark.parametrize("stage", ["middleware", "connect"])
async def test_hanging_function_is_cancelled_when_the_client_goes(stage: str) -> None:
    stand, ended, left = Stand(), [], []

    async def hang(socket: Socket) -> None:
        await socket.join("room")
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(stage)

    if stage == "middleware":
        stand.of("/").use(hang)
    else:
        stand.of("/").on("connect", hang)
    stand.of("/").on("disconnect", lambda socket, reason: left.append(reason))
    client, _ = stand.client()
    client.message("0")
    await asyncio.sleep(0.01)
    assert len(stand.runtime.tasks) == 1
    client.closed("transport close")
    await stand.settle()
    assert ended == [stage]
    assert left == (["transport close"] if stage == "connect" else [])
    assert not stand.of("/").occupied
    assert await stand.of("/").rooms() == set()


@pytest.mark.parametrize("stage", ["middleware", "connect"])
async def test_function_that_takes_too_long_is_cancelled_and_the_client_refused(stage: str) -> None:
    stand = Stand(connect_handler_timeout_s=0.01)

    async def hang(socket: Socket) -> None:
        await asyncio.Event().wait()

    if stage == "middleware":
        stand.of("/").use(hang)
    else:
        stand.of("/").on("connect", hang)
    client, session = stand.client()
    client.message("0")
    await wait_until(lambda: session.sent, "the refusal")
    assert session.sent == ['4{"message":"the server took too long to admit the client; try again"}']
    assert stand.runtime.counters["connect_handlers_timed_out"] == 1
    assert not stand.of("/").occupied
    client.message("0")  # the client may try again
    await wait_until(lambda: len(session.sent) == 2, "the second refusal")
    assert session.closed_with is None


async def test_rule_that_takes_too_long_refuses_the_client() -> None:
    stand = Stand(connect_handler_timeout_s=0.01)

    async def find(_name: str, _auth: Any) -> None:
        await asyncio.Event().wait()

    session = FakeSession()
    request = ClientRequest("GET", "/socket.io/", "EIO=4", {}, "127.0.0.1", False, 1.5)
    client = Client(session, request, stand.runtime, find)  # type: ignore[arg-type]
    client.message("0/room,")
    await wait_until(lambda: session.sent, "the refusal")
    assert session.sent == ['4/room,{"message":"the server took too long to admit the client; try again"}']


async def test_function_that_disconnects_its_client_goes_on() -> None:
    stand, done = Stand(), []

    @stand.of("/").on("connect")
    async def connect(socket: Socket) -> None:
        await socket.disconnect(close=True)
        client.closed("forced server close")
        await asyncio.sleep(0.001)
        done.append(socket.id)

    client, _ = stand.client()
    client.message("0")
    await stand.settle()
    assert len(done) == 1


async def test_client_is_answered_if_the_adapter_fails_to_open_and_may_try_again() -> None:
    stand = Stand()

    class FailsOnce(LocalAdapter):
        failed = False

        async def open(self) -> None:
            if not FailsOnce.failed:
                FailsOnce.failed = True
                raise OSError("no disk")

    namespace = Namespace("/", lambda opened: opened.open(stand.runtime, FailsOnce))

    async def find(_name: str, _auth: Any) -> Namespace:
        return namespace

    stand._find = find  # type: ignore[method-assign]
    client, session = stand.client()
    for _ in range(2):
        client.message("0")
        await stand.settle()
    (sid,) = namespace.sockets
    assert session.sent == ['4{"message":"Internal server error"}', f'0{{"sid":"{sid}"}}']
    assert stand.runtime.counters["connects_failed"] == 1
