"""Tests of `zmqio.zeromq.version_check`."""

import asyncio
import contextlib

import msgpack
import pytest
import structlog
import zmq

from tests.support.timing import wait_until
from zmqio.zeromq.version_check import VersionCheck, say_hello


@contextlib.contextmanager
def control():
    """A ROUTER in place of a broker's control endpoint, and a `VersionCheck` to it."""
    with zmq.Context() as context, context.socket(zmq.ROUTER) as router:
        port = router.bind_to_random_port("tcp://127.0.0.1")
        hello = VersionCheck(asyncio.get_running_loop(), context, f"tcp://127.0.0.1:{port}")
        yield router, hello
        hello.close()


async def question(router) -> list[bytes]:
    await wait_until(lambda: router.poll(0), "the question")
    return router.recv_multipart()


async def answered(answer: bytes) -> list[dict]:
    with structlog.testing.capture_logs() as lines, control() as (router, _):
        identity, _ = await question(router)
        router.send_multipart([identity, answer])
        await wait_until(lambda: lines, "a log line")
    return lines


async def test_question_names_the_version():
    with control() as (router, _):
        _, body = await question(router)
        assert msgpack.unpackb(body) == {"op": "hello", "version": 1}


async def test_same_version_is_no_news():
    (line,) = await answered(msgpack.packb({"op": "hello", "version": 1, "release": "0.1.0", "pid": 7}))
    assert (line["event"], line["log_level"], line["release"]) == ("bus_broker_hello", "debug", "0.1.0")


@pytest.mark.parametrize(
    "answer",
    [{"op": "hello", "version": 2}, {"version": 1, "error": "this broker speaks 2"}, {}, [1], "text", None],
)
async def test_other_version_refusal_and_nonsense_are_an_error_in_the_log(answer):
    (line,) = await answered(msgpack.packb(answer))
    assert (line["event"], line["log_level"], line["spoken_here"]) == ("bus_version_mismatch", "error", 1)


async def test_answer_that_is_no_msgpack_is_an_error_in_the_log():
    (line,) = await answered(b"\xc1")
    assert line["event"] == "bus_version_mismatch"


async def test_closed_hello_says_nothing():
    with structlog.testing.capture_logs() as lines, control() as (router, hello):
        identity, _ = await question(router)
        hello.close()
        router.send_multipart([identity, msgpack.packb({"version": 2})])
        await asyncio.sleep(0.02)
    assert lines == []


async def test_process_that_cannot_ask_says_so_and_goes_on():
    context = zmq.Context()
    context.term()  # no socket can be made, as without a free file descriptor
    with structlog.testing.capture_logs() as lines:
        assert say_hello(asyncio.get_running_loop(), context, "tcp://127.0.0.1:5555") is None
    assert [line["event"] for line in lines] == ["bus_hello_failed"]
