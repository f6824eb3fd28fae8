"""Tests of `zmqio.nats.async_sender`, as `zmqio.AsyncEmitter` uses it, on real servers."""

import asyncio
import subprocess
import sys

import pytest

from tests.nats.test_sender import subscribed
from tests.support.nats_server import NatsServerProcess
from tests.support.ports import free_port
from tests.support.timing import LIMIT_S, wait_until
from zmqio.emitter import AsyncEmitter
from zmqio.exceptions import BusUnavailableError, MessageTooLargeError, RequestTimeoutError


@pytest.fixture(scope="module")
def server():
    with NatsServerProcess() as process:
        yield process


async def test_concurrent_requests_arrive_in_the_order_of_the_calls(server: NatsServerProcess) -> None:
    async with subscribed(server) as subscriber, AsyncEmitter(server.address, send_timeout_s=LIMIT_S) as emitter:
        await asyncio.gather(*(emitter.to("a", "b").emit(f"event {number}") for number in range(500)))
        await emitter.flush()
        await wait_until(lambda: len(subscriber.found) == 500, "all requests")
        assert subscriber.events == [f"event {number}" for number in range(500)]


async def test_close_sends_requests_emitted_before(server: NatsServerProcess) -> None:
    limits = {"send_timeout_s": LIMIT_S, "close_timeout_s": LIMIT_S}
    async with subscribed(server) as subscriber:
        async with AsyncEmitter(server.address, **limits) as emitter:
            for _ in range(100):
                await emitter.emit("x", "y" * 10_000)
        await wait_until(lambda: len(subscriber.found) == 100, "all requests")


async def test_no_server_is_an_error_with_the_reason() -> None:
    async with AsyncEmitter(f"nats://127.0.0.1:{free_port()}", send_timeout_s=0.1) as emitter:
        with pytest.raises(BusUnavailableError, match=r"[Rr]efused|[Cc]onnect call failed"):
            await emitter.emit("x")
        with pytest.raises(BusUnavailableError):
            await emitter.flush()


async def test_slow_server_makes_emit_wait_and_loses_nothing() -> None:
    with NatsServerProcess() as server:
        async with (
            subscribed(server) as subscriber,
            AsyncEmitter(server.address, queue_messages=2, send_timeout_s=LIMIT_S) as emitter,
        ):
            await emitter.emit("first")
            server.pause()
            try:
                with pytest.raises(RequestTimeoutError):
                    await emitter.flush(0.1)
                emitting = asyncio.gather(*(emitter.emit("x", "y" * 100_000) for _ in range(200)))
                await asyncio.sleep(0.05)
                assert not emitting.done()
            finally:
                server.resume()
            await emitting
            await wait_until(lambda: len(subscriber.found) == 201, "all requests")


async def test_restarted_server_is_connected_again() -> None:
    with NatsServerProcess() as server:
        async with AsyncEmitter(server.address, send_timeout_s=LIMIT_S) as emitter:
            await emitter.emit("before")
            await server.restart()
            async with subscribed(server) as subscriber:
                await emitter.flush(LIMIT_S)
                await emitter.emit("after")
                await wait_until(lambda: subscriber.events == ["after"], "the request")


async def test_request_over_the_limit_of_the_server_is_refused(server: NatsServerProcess) -> None:
    async with AsyncEmitter(server.address, send_timeout_s=LIMIT_S) as emitter:
        with pytest.raises(MessageTooLargeError):
            await emitter.emit("x", "y" * (1 << 20))


async def test_missing_permission_is_an_error_of_flush(tmp_path) -> None:
    config = tmp_path / "nats.conf"
    config.write_text('authorization { users = [{user: u, password: p, permissions: {publish: "other.>"}}] }')
    with NatsServerProcess("-c", str(config)) as server:
        async with AsyncEmitter(server.address.replace("://", "://u:p@"), send_timeout_s=LIMIT_S) as emitter:
            await emitter.emit("x")
            with pytest.raises(BusUnavailableError, match="Permissions Violation"):
                await emitter.flush()


async def test_emitter_that_is_never_closed_sends_its_requests(server: NatsServerProcess) -> None:
    program = f"""
import asyncio
from zmqio.emitter import AsyncEmitter
async def main():
    global emitter
    emitter = AsyncEmitter({server.address!r}, send_timeout_s={LIMIT_S}, close_timeout_s={LIMIT_S})
    await emitter.emit("first")
    await emitter.emit("last")
asyncio.run(main())
"""
    async with subscribed(server) as subscriber:
        await asyncio.to_thread(subprocess.run, [sys.executable, "-c", program], check=True, timeout=3 * LIMIT_S)
        await wait_until(lambda: subscriber.events == ["first", "last"], "both")
