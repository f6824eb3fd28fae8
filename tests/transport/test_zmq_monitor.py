"""Tests of `zmqio.transport.zmq_monitor`."""

import asyncio
import contextlib
import time

import pytest
import zmq

from tests.support.http_server import web_servers
from tests.support.ports import free_port
from tests.support.timing import LIMIT_S, wait_until
from zmqio.transport.zmq_monitor import ConnectionEvents, Monitor


@pytest.fixture
def context():
    context = zmq.Context()
    yield context
    context.destroy(linger=0)


@contextlib.contextmanager
def monitored(context, endpoint):
    seen: list[str] = []
    socket = context.socket(zmq.SUB)
    socket.setsockopt(zmq.RECONNECT_IVL, 10)
    socket.setsockopt(zmq.HANDSHAKE_IVL, 200)
    events = ConnectionEvents(
        lambda: seen.append("up"), lambda: seen.append("down"), lambda: seen.append("refused")
    )
    monitor = Monitor(asyncio.get_running_loop(), context, socket, events)
    socket.connect(endpoint)
    try:
        yield seen, monitor
    finally:
        monitor.close()
        socket.close(linger=0)


async def test_up_down_and_up_again_are_told_in_order(context):
    endpoint = f"tcp://127.0.0.1:{free_port()}"
    with monitored(context, endpoint) as (seen, _):
        for times in (1, 2):
            peer = context.socket(zmq.PUB)
            peer.bind(endpoint)
            await wait_until(lambda expected=["up", "down"] * times: seen == expected[:-1], "up")
            peer.close(linger=0)
            await wait_until(lambda expected=["up", "down"] * times: seen == expected, "down")


async def test_peer_that_does_not_speak_zeromq_is_refused_and_never_up(context):
    port = free_port()
    with web_servers(port), monitored(context, f"tcp://127.0.0.1:{port}") as (seen, monitor):
        await wait_until(lambda: "refused" in seen, "refused")
        assert set(seen) == {"refused"}
        assert not monitor.is_up


async def test_after_close_nothing_is_told(context):
    endpoint = f"tcp://127.0.0.1:{free_port()}"
    with monitored(context, endpoint) as (seen, monitor):
        monitor.close()
        monitor.close()
        peer = context.socket(zmq.XPUB)
        peer.bind(endpoint)
        peer.close(linger=0)
        await asyncio.sleep(0)
        assert seen == []


async def test_news_is_there_before_the_loop_has_a_turn_and_can_be_acted_on_at_once(context):
    endpoint = f"tcp://127.0.0.1:{free_port()}"
    with monitored(context, endpoint) as (seen, monitor):
        peer = context.socket(zmq.PUB)
        peer.bind(endpoint)
        await wait_until(lambda: seen == ["up"], "up")
        assert not monitor.has_news
        peer.close(linger=0)
        ends_at = time.monotonic() + LIMIT_S
        while not monitor.has_news:  # the loop gets no turn
            assert time.monotonic() < ends_at
        assert (seen, monitor.is_up) == (["up"], True)
        monitor.read()
        assert (seen, monitor.is_up) == (["up", "down"], False)
        assert not monitor.has_news
