"""Tests of `zmqio.zeromq.connection`: against libzmq, and against what is no ZeroMQ peer."""

import asyncio
import contextlib
import socket
import time

import pytest
import zmq

from tests.support.http_server import web_servers
from tests.support.ports import free_port
from tests.support.timing import LIMIT_S, wait_until
from tests.support.zmtp_stand import connected, mute_listener
from zmqio.protocol import zmtp
from zmqio.protocol.zmtp import GREETING, SocketType
from zmqio.zeromq import connection as connection_module

READY_OF_AN_XPUB = b"\x04\x1a\x05READY\x0bSocket-Type\x00\x00\x00\x04XPUB"


@pytest.fixture
def bound():
    """Makes bound libzmq sockets that live as long as the test."""
    context = zmq.Context()
    sockets = []  # one that is collected would be warned of

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


async def shaken(listener):
    """The same, behind the handshake."""
    end = await accepted(listener)
    await asyncio.get_running_loop().sock_sendall(end, GREETING + READY_OF_AN_XPUB)
    return end


@contextlib.asynccontextmanager
async def with_a_played_peer(socket_type=SocketType.SUB):
    """A connection that is up, its record, and the peer's end, which says nothing more by itself."""
    with contextlib.ExitStack() as stack:
        endpoint, listener = stack.enter_context(mute_listener())
        connection, recorded = stack.enter_context(connected(endpoint, socket_type))
        end = stack.enter_context(await shaken(listener))
        await wait_until(lambda: connection.is_up, "up")
        yield end, connection, recorded


async def test_up_down_and_up_again_are_told_in_order(bound):
    endpoint = f"tcp://127.0.0.1:{free_port()}"
    with connected(endpoint) as (connection, recorded):
        for times in (1, 2):
            peer, _ = bound(zmq.PUB, endpoint)
            await wait_until(lambda expected=["up", "down"] * times: told(recorded) == expected[:-1], "up")
            assert (connection.is_up, connection.trouble) == (True, "")
            peer.close(linger=0)
            await wait_until(lambda expected=["up", "down"] * times: told(recorded) == expected, "down")
            assert not connection.is_up
            await wait_until(lambda: connection.trouble == "Connection refused", "the reason")


def told(recorded):
    """Without the refusals: a peer that is just closing may be met."""
    return [change for change in recorded.changes if change != "refused"]


@pytest.mark.parametrize("endpoint", ["tcp://127.0.0.1:*", "tcp://[::1]:*", "ipc://{}/bus"])
async def test_libzmq_hears_and_is_heard_at_every_kind_of_endpoint(bound, endpoint, tmp_path):
    peer, endpoint = bound(zmq.XPUB, endpoint.format(tmp_path), IPV6="[" in endpoint)
    with connected(endpoint) as (connection, recorded):
        await wait_until(lambda: connection.is_up, "up")
        connection.send(zmtp.subscription(b"a") + zmtp.subscription(b"b" * 300))
        await wait_until(lambda: peer.poll(0), "the first")
        assert peer.recv() == b"\x01a"
        await wait_until(lambda: peer.poll(0), "the second")
        assert peer.recv() == b"\x01" + b"b" * 300
        connection.send(zmtp.cancellation(b"b" * 300))
        await wait_until(lambda: peer.poll(0), "the cancellation")
        assert peer.recv() == b"\x00" + b"b" * 300
        large = b"a" * 3_000_000
        peer.send(b"a1")
        peer.send_multipart([b"a2", b"", b"3"])
        peer.send(large)
        await wait_until(lambda: len(recorded.messages) == 3, "all of it")
        assert recorded.messages == [b"a1", (b"a2", b"", b"3"), large]


async def test_a_name_is_looked_up(bound):
    _, endpoint = bound(zmq.XPUB)
    with connected(endpoint.replace("127.0.0.1", "localhost")) as (connection, _):
        await wait_until(lambda: connection.is_up, "up")


async def test_what_the_kernel_does_not_take_waits_and_follows_in_order(bound):
    peer, endpoint = bound(zmq.XSUB, RCVHWM=1)
    with connected(endpoint, SocketType.PUB) as (connection, recorded):
        await wait_until(lambda: connection.is_up, "up")
        sent = 0
        while not connection.is_full:
            connection.send(zmtp.frame(b"%d" % sent + bytes(100_000)))
            sent += 1
            assert sent < 10_000
        connection.send(zmtp.frame(b"last"))
        for number in range(sent):
            await wait_until(lambda: peer.poll(0), "a message")
            assert peer.recv() == b"%d" % number + bytes(100_000)
        await wait_until(lambda: peer.poll(0), "the last")
        assert peer.recv() == b"last"
        await wait_until(lambda: recorded.drained == 1, "drained")
        assert not connection.is_full


async def test_both_ends_keep_a_quiet_connection_up_by_heartbeats(bound, monkeypatch):
    monkeypatch.setattr(connection_module, "TICK_S", 0.05)
    _, endpoint = bound(zmq.XPUB, HEARTBEAT_IVL=50, HEARTBEAT_TIMEOUT=1_000)
    with connected(endpoint) as (_, recorded):
        await asyncio.sleep(40 * 0.05)
        assert recorded.changes == ["up"]


async def test_peer_that_falls_silent_is_lost(monkeypatch):
    monkeypatch.setattr(connection_module, "TICK_S", 0.02)
    with mute_listener() as (endpoint, listener), connected(endpoint) as (_, recorded), await shaken(listener):
        await wait_until(lambda: recorded.changes[:2] == ["up", "down"], "lost")


async def test_peer_is_not_silent_while_what_it_said_waits_here(monkeypatch):
    monkeypatch.setattr(connection_module, "TICK_S", 0.01)
    monkeypatch.setattr(connection_module, "HANDED_ON_AT_ONCE", 1)
    async with with_a_played_peer() as (end, _, recorded):
        recorded.pause_s = 0.02
        await asyncio.get_running_loop().sock_sendall(end, zmtp.frame(b"x") * 30)
        await wait_until(lambda: len(recorded.messages) == 30, "all messages")
        assert recorded.changes == ["up"]


async def test_time_in_which_this_process_stood_still_is_not_the_peers_silence(bound, monkeypatch):
    monkeypatch.setattr(connection_module, "TICK_S", 0.01)
    _, endpoint = bound(zmq.XPUB)
    with connected(endpoint) as (connection, recorded):
        await wait_until(lambda: connection.is_up, "up")
        for _ in range(10):
            time.sleep(0.02)  # noqa: ASYNC251  the loop stands still for twice a tick
            await asyncio.sleep(0)
        assert recorded.changes == ["up"]


async def test_stranger_is_refused_with_what_it_said_and_asked_again(monkeypatch):
    monkeypatch.setattr(connection_module, "REFUSED_RETRY_S", 0.01)
    port = free_port()
    with web_servers(port) as served, connected(f"tcp://127.0.0.1:{port}") as (connection, recorded):
        await wait_until(lambda: len(served) >= 3, "asked three times")
        await wait_until(lambda: any("HTTP/1.1 400" in reason for reason in recorded.reasons), "the reason")
        assert set(recorded.changes) == {"refused"}
        assert not connection.is_up


async def test_peer_that_says_nothing_is_refused(monkeypatch):
    monkeypatch.setattr(connection_module, "HANDSHAKE_LIMIT_S", 0.05)
    with mute_listener() as (endpoint, listener), connected(endpoint) as (connection, recorded):
        ends = [await accepted(listener)]
        await wait_until(lambda: connection.trouble == "it is connected and has not shaken hands", "the reason")
        ends.append(await accepted(listener))
        assert recorded.reasons[0] == "no handshake in time"
        for end in ends:
            end.close()


async def test_peer_that_breaks_the_protocol_later_is_lost():
    async with with_a_played_peer() as (end, _, recorded):
        await wait_until(lambda: recorded.changes == ["up"], "up")
        end.sendall(b"\xff\xff")
        await wait_until(lambda: recorded.changes == ["up", "down"], "down")


async def test_loss_found_by_sending_is_told_later_and_nothing_more_is_sent():
    with mute_listener() as (endpoint, listener), connected(endpoint, SocketType.SUB) as (connection, recorded):
        end = await shaken(listener)
        await wait_until(lambda: connection.is_up, "up")
        connection.pause_reading()
        end.close()
        ends_at = time.monotonic() + LIMIT_S
        while not connection.is_lost:  # the loop gets no turn
            connection.send(zmtp.frame(b"x"))
            assert time.monotonic() < ends_at
        assert (recorded.changes, connection.is_up) == (["up"], True)
        await wait_until(lambda: recorded.changes == ["up", "down"], "down")
        assert not connection.is_lost


async def test_paused_connection_reads_nothing_until_it_is_resumed(bound):
    peer, endpoint = bound(zmq.XPUB)
    with connected(endpoint) as (connection, recorded):
        await wait_until(lambda: connection.is_up, "up")
        connection.send(zmtp.subscription(b""))
        await wait_until(lambda: peer.poll(0), "the subscription")
        connection.pause_reading()
        peer.recv()
        peer.send(b"x")
        await asyncio.sleep(0.05)
        assert recorded.messages == []
        connection.resume_reading()
        await wait_until(lambda: recorded.messages == [b"x"], "the message")


async def test_thousands_of_messages_are_handed_on_in_slices_that_leave_the_loop_its_turns():
    async with with_a_played_peer() as (end, _, recorded):
        sent = [b"%d" % number for number in range(5_000)]
        await asyncio.get_running_loop().sock_sendall(end, b"".join(map(zmtp.frame, sent)))
        before = 0
        while len(recorded.messages) < len(sent):
            await asyncio.sleep(0)
            assert len(recorded.messages) - before <= 2 * connection_module.HANDED_ON_AT_ONCE
            before = len(recorded.messages)
        assert recorded.messages == sent
        assert max(recorded.batches) <= connection_module.HANDED_ON_AT_ONCE


async def test_restart_tells_nothing_and_connects_anew():
    with mute_listener() as (endpoint, listener), connected(endpoint) as (connection, recorded):
        first = await shaken(listener)
        await wait_until(lambda: recorded.changes == ["up"], "up")
        connection.restart()
        with first, await shaken(listener):
            await wait_until(lambda: recorded.changes == ["up", "up"], "up again")
            assert first.recv(1_000).startswith(GREETING)


async def test_restart_drops_what_came_by_the_old_connection(monkeypatch):
    monkeypatch.setattr(connection_module, "HANDED_ON_AT_ONCE", 1)
    async with with_a_played_peer() as (end, connection, recorded):
        await asyncio.get_running_loop().sock_sendall(end, zmtp.frame(b"x") * 1_000)
        await wait_until(lambda: recorded.messages, "the first")
        connection.restart()
        before = len(recorded.messages)
        await asyncio.sleep(0.05)
        assert len(recorded.messages) == before < 1_000


async def test_after_close_nothing_is_told(bound):
    endpoint = f"tcp://127.0.0.1:{free_port()}"
    with connected(endpoint) as (connection, recorded):
        connection.close()
        connection.close()
        connection.send(b"nowhere")
        peer, _ = bound(zmq.XPUB, endpoint)
        await asyncio.sleep(0.2)
        assert not peer.poll(0)
        assert recorded.changes == []


async def test_leftover_is_sent_and_the_peers_end_awaited():
    async with with_a_played_peer() as (end, connection, _):
        while not connection.is_full:
            connection.send(bytes(100_000))
        leftover = connection.leave(b"last")
        assert leftover is not None
        assert connection.leave(b"") is None
        sending = asyncio.create_task(asyncio.to_thread(leftover.send_rest, time.monotonic() + LIMIT_S))
        received = bytearray()
        while data := await asyncio.get_running_loop().sock_recv(end, 1 << 20):
            received += data
        assert received.endswith(b"last")
        assert not sending.done()
        end.close()
        await asyncio.wait_for(sending, LIMIT_S)


async def test_nothing_is_left_of_a_connection_that_is_not_up():
    with mute_listener() as (endpoint, _), connected(endpoint) as (connection, _):
        assert connection.leave(b"x") is None


def test_it_can_be_closed_and_left_when_its_loop_is_closed():
    made = []

    async def make(endpoint, listener):
        with contextlib.ExitStack() as stack:
            connection, _ = stack.enter_context(connected(endpoint))
            end = await shaken(listener)
            await wait_until(lambda: connection.is_up, "up")
            made.extend((connection, end, stack.pop_all()))

    with mute_listener() as (endpoint, listener):
        asyncio.run(make(endpoint, listener))
        connection, end, stack = made
        with end:
            leftover = connection.leave(b"bye")
            end.shutdown(socket.SHUT_WR)
            leftover.send_rest(time.monotonic() + LIMIT_S)
            end.settimeout(LIMIT_S)
            assert end.recv(1_000).endswith(b"bye")
        stack.close()
