"""Tests of `zmqio.emitter.async_emitter`, over real sockets to a small broker in a thread of this process."""

import asyncio
import gc

import pytest

from tests.emitter.test_sync_emitter import SHORT_S, ingest_alone, nowhere, requests
from tests.support.loopback_broker import running_broker
from tests.support.timing import LIMIT_S, wait_until
from zmqio.emitter import AsyncEmitter
from zmqio.exceptions import BusUnavailableError, ConfigError, PacketError, RequestTimeoutError


async def test_concurrent_emits_arrive_in_the_order_of_the_calls() -> None:
    with running_broker() as broker:
        async with AsyncEmitter(broker.address) as emitter:
            await asyncio.gather(*(emitter.to("lobby").emit("news", number) for number in range(300)))
            await emitter.flush(LIMIT_S)
            received = requests(broker)
    assert [request.args for request in received] == [(number,) for number in range(300)]
    assert [request.n for request in received] == list(range(1, 301))
    assert {request.source for request in received} == {emitter.source}


async def test_close_sends_requests_emitted_before() -> None:
    with running_broker() as broker:
        async with AsyncEmitter(broker.address, namespace="/chat") as emitter:
            await emitter.emit("news")
            await emitter.to("a").sockets_leave("b")
        await wait_until(lambda: len(broker.pushed) == 2, "both requests")
        assert [request.namespace for request in requests(broker)] == ["/chat", "/chat"]


async def test_missing_broker_is_an_error_and_waiting_does_not_block_the_loop() -> None:
    address = nowhere()
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    async with AsyncEmitter(address, send_timeout_s=SHORT_S) as emitter:
        with pytest.raises(BusUnavailableError, match=address):
            await emitter.emit("news")
    counting.cancel()
    assert turns > 10


async def test_flush_without_a_broker_is_an_error() -> None:
    async with AsyncEmitter(nowhere(), send_timeout_s=SHORT_S) as emitter:
        with pytest.raises((BusUnavailableError, RequestTimeoutError)):
            await emitter.flush()


async def test_flush_without_a_response_is_an_error() -> None:
    with ingest_alone() as address:
        async with AsyncEmitter(address, send_timeout_s=LIMIT_S) as emitter:
            with pytest.raises(RequestTimeoutError, match=address):
                await emitter.flush(SHORT_S)


async def test_cancelled_flush_leaves_the_emitter_usable() -> None:
    async with AsyncEmitter(nowhere(), send_timeout_s=LIMIT_S) as emitter:
        flushing = asyncio.create_task(emitter.flush())
        await asyncio.sleep(0)
        flushing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await flushing
        with pytest.raises(RequestTimeoutError):
            await emitter.flush(SHORT_S)


def test_use_on_another_event_loop_is_an_error() -> None:
    with running_broker() as broker:
        emitter = AsyncEmitter(broker.address)
        asyncio.run(_emit_and_close(emitter))
        with pytest.raises(RuntimeError, match="belongs to the event loop that used it first"):
            asyncio.run(_emit_and_close(emitter))


async def test_use_on_another_thread_is_an_error() -> None:
    with running_broker() as broker:
        async with AsyncEmitter(broker.address) as emitter:
            await emitter.emit("news")
            with pytest.raises(RuntimeError, match="belongs to the event loop that used it first"):
                await asyncio.to_thread(lambda: asyncio.run(_emit_and_close(emitter)))


async def test_collected_emitter_sends_its_queued_requests() -> None:
    with running_broker() as broker:
        await AsyncEmitter(broker.address).emit("news")
        gc.collect()
        await wait_until(lambda: broker.pushed, "the request")


async def test_invalid_argument_and_invalid_address_are_errors() -> None:
    async with AsyncEmitter(nowhere()) as emitter:
        with pytest.raises(PacketError):
            await emitter.emit("news", object())
    with pytest.raises(ConfigError):
        AsyncEmitter("nowhere")


async def _emit_and_close(emitter: AsyncEmitter) -> None:
    await emitter.emit("news")
    await emitter.close()
