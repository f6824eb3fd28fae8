"""Tests of `zmqio.zeromq.version_check`."""

import asyncio
import contextlib

import msgpack
import pytest
import structlog
import zmq

from tests.support.timing import wait_until
from tests.support.zmtp_connections import peer_at
from zmqio.zeromq.version_check import VersionCheck


@contextlib.contextmanager
def checked_router(on_limits=lambda *_: None):
    """A ROUTER in place of a broker's control endpoint, and a `VersionCheck` of it."""
    with zmq.Context() as context, context.socket(zmq.ROUTER) as router:
        endpoint = f"tcp://127.0.0.1:{router.bind_to_random_port('tcp://127.0.0.1')}"
        check = VersionCheck(asyncio.get_running_loop(), peer_at(endpoint), on_limits)
        yield router, check
        check.close()


async def request(router) -> list[bytes]:
    await wait_until(lambda: router.poll(0), "the request")
    return router.recv_multipart()


async def logged_after(*response: bytes) -> list[dict]:
    """The log lines that follow a response."""
    with structlog.testing.capture_logs() as lines, checked_router() as (router, _):
        identity, _ = await request(router)
        router.send_multipart([identity, *response])
        await wait_until(lambda: lines, "a log line")
    return lines


async def test_request_contains_the_version():
    with checked_router() as (router, _):
        _, body = await request(router)
        assert msgpack.unpackb(body) == {"op": "hello", "version": 1}


@pytest.mark.parametrize(
    ("hello", "limits"),
    [
        ({"subscription_bytes": 5, "topic_bytes": 80}, [(5, 80)]),
        ({"subscription_bytes": "x", "topic_bytes": 80}, []),
        ({"subscription_bytes": 0, "topic_bytes": 80}, []),
        ({"subscription_bytes": 5}, []),
        ({}, []),
    ],
)
async def test_limits_of_the_broker_are_reported(hello, limits):
    reported = []
    with (
        structlog.testing.capture_logs() as lines,
        checked_router(lambda *both: reported.append(both)) as (router, _),
    ):
        identity, _ = await request(router)
        router.send_multipart([identity, msgpack.packb({"version": 1, **hello})])
        await wait_until(lambda: lines, "a log line")
    assert reported == limits


@pytest.mark.parametrize("envelope", [(), (b"",)])
async def test_equal_version_is_logged_at_debug_level(envelope):
    hello = msgpack.packb({"op": "hello", "version": 1, "release": "0.1.0", "pid": 7})
    (line,) = await logged_after(*envelope, hello)
    assert (line["event"], line["log_level"], line["release"]) == ("broker_version_checked", "debug", "0.1.0")


@pytest.mark.parametrize(
    "response",
    [{"op": "hello", "version": 2}, {"version": 1, "error": "this broker speaks 2"}, {}, [1], "text", None],
)
async def test_other_version_error_and_malformed_response_are_logged_as_errors(response):
    (line,) = await logged_after(msgpack.packb(response))
    assert (line["event"], line["log_level"], line["node_version"]) == ("broker_version_mismatched", "error", 1)


async def test_response_that_is_not_msgpack_is_logged_as_an_error():
    (line,) = await logged_after(b"\xc1")
    assert line["event"] == "broker_version_mismatched"


async def test_request_is_repeated_after_a_lost_connection():
    with structlog.testing.capture_logs() as lines, zmq.Context() as context:
        with context.socket(zmq.ROUTER) as first:
            endpoint = f"tcp://127.0.0.1:{first.bind_to_random_port('tcp://127.0.0.1')}"
            check = VersionCheck(asyncio.get_running_loop(), peer_at(endpoint))
            await request(first)
        with context.socket(zmq.ROUTER) as second:
            await wait_until(lambda: _try_bind(second, endpoint), "the port is free")
            identity, _ = await request(second)
            second.send_multipart([identity, msgpack.packb({"version": 1})])
            await wait_until(lambda: lines, "a log line")
        check.close()


async def test_closed_check_logs_nothing():
    with structlog.testing.capture_logs() as lines, checked_router() as (router, check):
        identity, _ = await request(router)
        check.close()
        router.send_multipart([identity, msgpack.packb({"version": 2})])
        await asyncio.sleep(0.02)
    assert lines == []


def _try_bind(router, endpoint):
    try:
        router.bind(endpoint)
    except zmq.ZMQError:
        return False
    return True
