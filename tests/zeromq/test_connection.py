"""Tests of `zmqio.zeromq.connection`: with libzmq as its peer, and with peers that are not ZeroMQ."""

import asyncio
import contextlib
import socket
import time

import pytest
import zmq
from structlog.testing import capture_logs

from tests.support.http_server import web_servers
from tests.support.ports import free_port
from tests.support.timing import LIMIT_S, wait_until
from tests.support.zmtp_connections import connected, mute_listener
from zmqio.protocol import zmtp
from zmqio.protocol.zmtp import SocketType
from zmqio.zeromq import connection as connection_module

GREETING = b"\xff" + bytes(8) + b"\x7f\x03\x00NULL" + bytes(48)

READY_OF_AN_XPUB = b"\x04\x1a\x05READY\x0bSocket-Type\x00\x00\x00\x04XPUB"


@pytest.fixture
def bound():
    """Makes bound libzmq sockets that live as long as the test."""
    context = zmq.Context()
    sockets = []  # a collected socket would cause a warning

    def bind(kind, endpoint="tcp://127.0.0.1:*", **options):
        peer = context.socket(kind)
        sockets.append(peer)
        for name, value in options.items():
            peer.setsockopt(getattr(zmq, name), value)
        peer.bind(endpoint)
        return peer, peer.getsockopt(zmq.LAST_ENDPOINT).rstrip(b"\0").decode()

    yield bind
    context.destroy(linger=0)


async def accepted(listener):
    """The peer's end of the next connection, non-blocking."""
    end, _ = await asyncio.wait_for(asyncio.get_running_loop().sock_accept(listener), LIMIT_S)
    return end


async def accepted_with_handshake(listener):
    """The peer's end of the next connection, after it has sent its handshake."""
    end = await accepted(listener)
    await asyncio.get_running_loop().sock_sendall(end, GREETING + READY_OF_AN_XPUB)
    return end


@contextlib.asynccontextmanager
async def connected_to_fake_peer(socket_type=SocketType.SUB):
    """The peer's end, which sends only what the test sends, a connection that is up, and its record."""
    with contextlib.ExitStack() as stack:
        endpoint, listener = stack.enter_context(mute_listener())
        connection, record = stack.enter_context(connected(endpoint, socket_type))
        end = stack.enter_context(await accepted_with_handshake(listener))
        await wait_until(lambda: connection.is_up, "up")
        yield end, connection, record


async def test_up_down_and_up_again_are_reported_in_order(bound):
    endpoint = f"tcp://127.0.0.1:{free_port()}"
    with connected(endpoint) as (connection, record):
        for times in (1, 2):
            peer, _ = bound(zmq.PUB, endpoint)
            await wait_until(lambda expected=["up", "down"] * times: ups_and_downs(record) == expected[:-1], "up")
            assert (connection.is_up, connection.problem) == (True, "")
            peer.close(linger=0)
            await wait_until(lambda expected=["up", "down"] * times: ups_and_downs(record) == expected, "down")
            assert not connection.is_up
            await wait_until(lambda: connection.problem == "Connection refused", "the reason")


def ups_and_downs(record):
    """Changes without refusals: an attempt may meet the peer while it closes."""
    return [change for change in record.changes if change != "refused"]


@pytest.mark.parametrize("endpoint", ["tcp://127.0.0.1:*", "tcp://[::1]:*", "ipc://{}/bus"])
async def test_messages_are_exchanged_with_libzmq_at_every_kind_of_endpoint(bound, endpoint, tmp_path):
    peer, endpoint = bound(zmq.XPUB, endpoint.format(tmp_path), IPV6="[" in endpoint)
    with connected(endpoint) as (connection, record):
        await wait_until(lambda: connection.is_up, "up")
        connection.send_all([zmtp.subscription(b"a"), zmtp.subscription(b"b" * 300)])
        await wait_until(lambda: peer.poll(0), "the first subscription")
        assert peer.recv() == b"\x01a"
        await wait_until(lambda: peer.poll(0), "the second subscription")
        assert peer.recv() == b"\x01" + b"b" * 300
        connection.send(zmtp.cancellation(b"b" * 300))
        await wait_until(lambda: peer.poll(0), "the cancellation")
        assert peer.recv() == b"\x00" + b"b" * 300
        large = b"a" * 3_000_000
        peer.send(b"a1")
        peer.send_multipart([b"a2", b"", b"3"])
        peer.send(large)
        await wait_until(lambda: len(record.messages) == 3, "all messages")
        assert record.messages == [b"a1", (b"a2", b"", b"3"), large]


async def test_host_name_is_resolved(bound):
    _, endpoint = bound(zmq.XPUB)
    with connected(endpoint.replace("127.0.0.1", "localhost")) as (connection, _):
        await wait_until(lambda: connection.is_up, "up")


async def test_data_that_the_kernel_rejects_is_queued_and_follows_in_order(bound):
    peer, endpoint = bound(zmq.XSUB, RCVHWM=1)
    with connected(endpoint, SocketType.PUB) as (connection, record):
        await wait_until(lambda: connection.is_up, "up")
        sent = 0
        while not connection.is_full:
            connection.send(b"%d" % sent + bytes(100_000))
            sent += 1
            assert sent < 10_000
        connection.send(b"last")
        for number in range(sent):
            await wait_until(lambda: peer.poll(0), "a message")
            assert peer.recv() == b"%d" % number + bytes(100_000)
        await wait_until(lambda: peer.poll(0), "the last message")
        assert peer.recv() == b"last"
        await wait_until(lambda: record.drained == 1, "drained")
        assert not connection.is_full


async def test_heartbeats_keep_an_idle_connection_up(bound, monkeypatch):
    ticks: list[None] = []
    tick = connection_module.ZmtpConnection._tick
    monkeypatch.setattr(connection_module, "TICK_S", 0.2)
    monkeypatch.setattr(connection_module.ZmtpConnection, "_tick", lambda self: (ticks.append(None), tick(self)))
    _, endpoint = bound(zmq.XPUB, HEARTBEAT_IVL=50, HEARTBEAT_TIMEOUT=int(LIMIT_S * 1000))
    with connected(endpoint) as (_, record):
        await wait_until(lambda: len(ticks) >= 2 * connection_module.SILENT_TICKS, "twice the limit of silence")
        assert record.changes == ["up"]


async def test_silent_peer_is_dropped(monkeypatch):
    monkeypatch.setattr(connection_module, "TICK_S", 0.02)
    with mute_listener() as (endpoint, listener), connected(endpoint) as (_, record):
        with await accepted_with_handshake(listener):
            await wait_until(lambda: record.changes[:2] == ["up", "down"], "lost")
        assert record.reasons[0] == "the peer sent nothing for 0.1 s"


async def test_peer_is_not_silent_while_its_messages_wait_for_delivery(monkeypatch):
    monkeypatch.setattr(connection_module, "TICK_S", 0.01)
    monkeypatch.setattr(connection_module, "MESSAGES_PER_TURN", 1)
    async with connected_to_fake_peer() as (end, _, record):
        record.delay_s = 0.02
        await asyncio.get_running_loop().sock_sendall(end, zmtp.frame(b"x") * 30)
        await wait_until(lambda: len(record.messages) == 30, "all messages")
        assert record.changes == ["up"]


async def test_ticks_delayed_by_a_busy_loop_do_not_count_as_silence(bound, monkeypatch):
    monkeypatch.setattr(connection_module, "TICK_S", 0.05)
    _, endpoint = bound(zmq.XPUB)
    with connected(endpoint) as (connection, record):
        await wait_until(lambda: connection.is_up, "up")
        for _ in range(connection_module.SILENT_TICKS):
            time.sleep(0.1)  # noqa: ASYNC251  blocks the loop for two ticks
            await asyncio.sleep(0)
        assert record.changes == ["up"]


async def test_peer_that_is_not_zeromq_is_refused_with_its_first_bytes_and_retried(monkeypatch):
    monkeypatch.setattr(connection_module, "REFUSED_RETRY_S", 0.01)
    port = free_port()
    with web_servers(port) as served, connected(f"tcp://127.0.0.1:{port}") as (connection, record):
        await wait_until(lambda: len(served) >= 3, "three attempts")
        await wait_until(lambda: any("HTTP/1.1 400" in reason for reason in record.reasons), "the reason")
        assert set(record.changes) == {"refused"}
        assert not connection.is_up


async def test_peer_that_sends_no_handshake_is_refused(monkeypatch):
    monkeypatch.setattr(connection_module, "HANDSHAKE_LIMIT_S", 0.05)
    with mute_listener() as (endpoint, listener), connected(endpoint) as (connection, record):
        ends = [await accepted(listener)]
        await wait_until(lambda: connection.problem == connection_module.NOT_SHAKEN, "the reason")
        ends.append(await accepted(listener))
        assert record.reasons[0] == "the peer did not complete the handshake in 0.05 s"
        for end in ends:
            end.close()


async def test_peer_that_violates_the_protocol_later_is_dropped():
    async with connected_to_fake_peer() as (end, _, record):
        await wait_until(lambda: record.changes == ["up"], "up")
        end.sendall(b"\xff" * 9)
        await wait_until(lambda: record.changes == ["up", "down"], "down")
        assert str(zmtp.MAX_FRAME_BYTES) in record.reasons[0]


async def test_failed_send_is_reported_later_and_nothing_more_is_sent():
    with mute_listener() as (endpoint, listener), connected(endpoint, SocketType.SUB) as (connection, record):
        end = await accepted_with_handshake(listener)
        await wait_until(lambda: connection.is_up, "up")
        connection.pause_reading()
        end.close()
        ends_at = time.monotonic() + LIMIT_S
        while not connection.is_lost:  # the loop gets no turn
            connection.send(b"x")
            assert time.monotonic() < ends_at
        assert (record.changes, connection.is_up) == (["up"], True)
        await wait_until(lambda: record.changes == ["up", "down"], "down")
        assert not connection.is_lost


async def test_unexpected_error_while_sending_ends_the_connection_instead_of_hiding_a_gap():
    async with connected_to_fake_peer() as (_, connection, record):
        with capture_logs() as lines:
            connection.send_all([b"1", None])
            assert connection.is_lost
        assert [line["event"] for line in lines] == ["broker_send_failed"]
        await wait_until(lambda: "down" in ups_and_downs(record), "the loss")


async def test_paused_connection_reads_nothing_until_resumed(bound):
    peer, endpoint = bound(zmq.XPUB)
    with connected(endpoint) as (connection, record):
        await wait_until(lambda: connection.is_up, "up")
        connection.send(zmtp.subscription(b""))
        await wait_until(lambda: peer.poll(0), "the subscription")
        connection.pause_reading()
        peer.recv()
        peer.send(b"x")
        await asyncio.sleep(0.05)
        assert record.messages == []
        connection.resume_reading()
        await wait_until(lambda: record.messages == [b"x"], "the message")


async def test_thousands_of_messages_are_delivered_in_slices_between_which_the_loop_runs():
    async with connected_to_fake_peer() as (end, _, record):
        sent = [b"%d" % number for number in range(5_000)]
        await asyncio.get_running_loop().sock_sendall(end, b"".join(map(zmtp.frame, sent)))
        before = 0
        while len(record.messages) < len(sent):
            await asyncio.sleep(0)
            assert len(record.messages) - before <= 2 * connection_module.MESSAGES_PER_TURN
            before = len(record.messages)
        assert record.messages == sent
        assert max(record.batches) <= connection_module.MESSAGES_PER_TURN


async def test_restart_reconnects_without_reporting_a_loss():
    with mute_listener() as (endpoint, listener), connected(endpoint) as (connection, record):
        first = await accepted_with_handshake(listener)
        await wait_until(lambda: record.changes == ["up"], "up")
        connection.restart()
        with first, await accepted_with_handshake(listener):
            await wait_until(lambda: record.changes == ["up", "up"], "up again")
            assert first.recv(1_000).startswith(GREETING)


async def test_restart_drops_messages_of_the_old_connection(monkeypatch):
    monkeypatch.setattr(connection_module, "MESSAGES_PER_TURN", 1)
    async with connected_to_fake_peer() as (end, connection, record):
        await asyncio.get_running_loop().sock_sendall(end, zmtp.frame(b"x") * 1_000)
        await wait_until(lambda: record.messages, "the first message")
        connection.restart()
        before = len(record.messages)
        await asyncio.sleep(0.05)
        assert len(record.messages) == before < 1_000


async def test_closed_connection_reports_nothing(bound):
    endpoint = f"tcp://127.0.0.1:{free_port()}"
    with connected(endpoint) as (connection, record):
        connection.close()
        connection.close()
        connection.send(b"nowhere")
        with connected(endpoint) as (_, other):
            peer, _ = bound(zmq.XPUB, endpoint)
            await wait_until(lambda: other.changes == ["up"], "a connection with the same retries")
        assert not peer.poll(0)
        assert record.changes == []


async def test_final_flush_sends_all_unsent_data_and_waits_until_the_peer_closes():
    async with connected_to_fake_peer() as (end, connection, _):
        while not connection.is_full:
            connection.send(bytes(100_000))
        flush = connection.detach([b"last"])
        assert flush is not None
        assert connection.detach([]) is None
        sending = asyncio.create_task(asyncio.to_thread(flush.send_rest, time.monotonic() + LIMIT_S))
        received = bytearray()
        while data := await asyncio.get_running_loop().sock_recv(end, 1 << 20):
            received += data
        assert received.endswith(b"last")
        assert not sending.done()
        end.close()
        await asyncio.wait_for(sending, LIMIT_S)


async def test_connection_that_is_not_up_has_no_final_flush():
    with mute_listener() as (endpoint, _), connected(endpoint) as (connection, _):
        assert connection.detach([b"x"]) is None


def test_connection_can_be_detached_and_closed_after_its_loop_is_closed():
    made = []

    async def make(endpoint, listener):
        with contextlib.ExitStack() as stack:
            connection, _ = stack.enter_context(connected(endpoint))
            end = await accepted_with_handshake(listener)
            await wait_until(lambda: connection.is_up, "up")
            made.extend((connection, end, stack.pop_all()))

    with mute_listener() as (endpoint, listener):
        asyncio.run(make(endpoint, listener))
        connection, end, stack = made
        with end:
            flush = connection.detach([b"bye"])
            end.shutdown(socket.SHUT_WR)
            flush.send_rest(time.monotonic() + LIMIT_S)
            end.settimeout(LIMIT_S)
            received = b""
            while data := end.recv(1_000):
                received += data
            assert received.endswith(b"bye")
        stack.close()
