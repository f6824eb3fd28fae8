"""Tests of `zmqio.nats.sender`, as `zmqio.Emitter` uses it, on real servers."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import nats
import pytest
from nats.aio.client import Client

from tests.support.nats_server import NatsServerProcess
from tests.support.ports import free_port
from tests.support.timing import LIMIT_S, wait_until
from zmqio.emitter import Emitter
from zmqio.exceptions import BusUnavailableError, MessageTooLargeError, RequestTimeoutError
from zmqio.protocol.publish import decode_request
from zmqio.protocol.topic import split


class Subscriber:
    """Everything below `zmqio.`, as a stock client receives it."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.found: list[tuple[str, object]] = []

    async def received(self, message) -> None:
        self.found.append((message.subject, decode_request(split(message.data)[1])))

    @property
    def events(self) -> list[str]:
        return [request.event for _, request in self.found]  # type: ignore[attr-defined]


@asynccontextmanager
async def subscribed(server: NatsServerProcess) -> AsyncIterator[Subscriber]:
    client = await nats.connect(server.address, connect_timeout=LIMIT_S)
    subscriber = Subscriber(client)
    await client.subscribe("zmqio.>", cb=subscriber.received)
    await client.flush(LIMIT_S)
    try:
        yield subscriber
    finally:
        await client.close()


@pytest.fixture(scope="module")
def server():
    with NatsServerProcess() as process:
        yield process


async def test_requests_arrive_in_order_on_the_subject_of_their_room(server: NatsServerProcess) -> None:
    async with subscribed(server) as subscriber:
        with Emitter(server.address, send_timeout_s=LIMIT_S) as emitter:
            emitter.to("lobby").emit("first", {"a": 1})
            for number in range(500):
                emitter.emit(f"event {number}")
            emitter.flush()
        await wait_until(lambda: len(subscriber.found) == 501, "all requests")
        assert subscriber.found[0][0] == "zmqio.r._.lobby"
        assert subscriber.events[1:] == [f"event {number}" for number in range(500)]


def test_no_server_is_an_error_with_address_and_reason() -> None:
    address = f"nats://127.0.0.1:{free_port()}"
    with (
        Emitter(address, send_timeout_s=0.1) as emitter,
        pytest.raises(BusUnavailableError, match="refused") as caught,
    ):
        emitter.emit("x")
    assert address in str(caught.value)


async def test_other_server_is_used_and_restart_is_noticed_before_sending() -> None:
    with NatsServerProcess() as server:
        emitter = Emitter(f"nats://127.0.0.1:{free_port()},{server.address}", send_timeout_s=LIMIT_S)
        emitter.emit("before")
        emitter.flush()
        await server.restart()
        async with subscribed(server) as subscriber:
            emitter.emit("after")
            await wait_until(lambda: subscriber.events == ["after"], "the request")
        emitter.close()


def test_flush_that_the_server_does_not_answer_is_an_error() -> None:
    with (
        NatsServerProcess() as server,
        Emitter(server.address, send_timeout_s=LIMIT_S, close_timeout_s=0.1) as emitter,
    ):
        emitter.emit("x")
        server.pause()
        try:
            with pytest.raises(RequestTimeoutError, match="did not answer"):
                emitter.flush(0.1)
        finally:
            server.resume()


def test_request_over_the_limit_of_the_server_is_refused(server: NatsServerProcess) -> None:
    with Emitter(server.address, send_timeout_s=LIMIT_S) as emitter:
        with pytest.raises(MessageTooLargeError, match="1048576"):
            emitter.emit("x", "y" * (1 << 20))
        emitter.emit("x")
        emitter.flush()


def test_missing_permission_is_an_error_of_flush(tmp_path) -> None:
    config = tmp_path / "nats.conf"
    config.write_text('authorization { users = [{user: u, password: p, permissions: {publish: "other.>"}}] }')
    with NatsServerProcess("-c", str(config)) as server:
        address = server.address.replace("://", "://u:p@")
        with Emitter(address, send_timeout_s=LIMIT_S) as emitter:
            emitter.emit("x")
            with pytest.raises(BusUnavailableError, match="Permissions Violation"):
                emitter.flush()
        assert "Authorization Violation" in refusal(server.address)


def refusal(address: str) -> str:
    """Return the error of an emitter without a login; on a busy machine, the answer may take some time."""
    error = ""
    for timeout_s in (0.2, 2.0, LIMIT_S):
        with pytest.raises(BusUnavailableError) as raised:
            Emitter(address, send_timeout_s=timeout_s).emit("x")
        error = str(raised.value)
        if "Violation" in error:
            break
    return error


async def test_threads_and_forked_children_share_an_emitter(server: NatsServerProcess) -> None:
    async with subscribed(server) as subscriber:
        with Emitter(server.address, send_timeout_s=LIMIT_S) as emitter:
            emitter.emit("parent")
            threads = [threading.Thread(target=emitter.emit, args=("thread",)) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        program = f"""
import os
from zmqio.emitter import Emitter
emitter = Emitter({server.address!r}, send_timeout_s={LIMIT_S}, close_timeout_s={LIMIT_S})
emitter.emit("before the fork")
if os.fork() == 0:
    emitter.emit("child")
    emitter.close()
    os._exit(0)
os.wait()
emitter.emit("after the fork")
"""
        await asyncio.to_thread(subprocess.run, [sys.executable, "-c", program], check=True, timeout=3 * LIMIT_S)
        await wait_until(lambda: len(subscriber.events) == 12, "all requests")
        assert sorted(set(subscriber.events)) == ["after the fork", "before the fork", "child", "parent", "thread"]
