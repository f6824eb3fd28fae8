"""Tests of `zmqio.zeromq.flush_check`, with a small broker in this process."""

import asyncio
import threading

import zmq

from tests.support.loopback_broker import LoopbackBroker, running_broker
from tests.support.ports import free_port_block
from tests.support.timing import LIMIT_S
from zmqio.zeromq.flush_check import FLUSH_PREFIX, FlushCheck

TOKEN, OTHER = b"t" * 16, b"o" * 16
SHORT_S = 0.05


def flush(broker: LoopbackBroker, *tokens: bytes) -> None:
    """Push flush messages to the ingest endpoint of the broker."""
    base = int(broker.address.rpartition(":")[2])
    with zmq.Context() as context, context.socket(zmq.PUSH) as push:
        push.setsockopt(zmq.LINGER, int(LIMIT_S * 1000))
        push.connect(f"tcp://127.0.0.1:{base + 3}")
        for token in tokens:
            push.send(FLUSH_PREFIX + token)


def test_flush_message_that_has_arrived_is_confirmed() -> None:
    with running_broker() as broker:
        check = FlushCheck([broker.address])
        flush(broker, OTHER, TOKEN)
        assert check.wait_for(TOKEN, LIMIT_S)
        assert check.wait_for(OTHER, LIMIT_S)
        check.close()
        check.close()


async def test_flush_message_is_confirmed_on_an_event_loop() -> None:
    with running_broker() as broker:
        check = FlushCheck([broker.address])
        waiting = asyncio.create_task(check.wait_for_async(TOKEN, LIMIT_S))
        await asyncio.sleep(0)
        await asyncio.to_thread(flush, broker, OTHER, TOKEN)
        assert await waiting
        check.close()


async def test_wait_times_out_without_the_message() -> None:
    with running_broker() as broker:
        check = FlushCheck([broker.address])
        flush(broker, OTHER)
        assert not check.wait_for(TOKEN, SHORT_S)
        assert not await check.wait_for_async(TOKEN, SHORT_S)
        check.close()


def test_message_that_arrives_later_ends_the_wait() -> None:
    with running_broker() as broker:
        check = FlushCheck([broker.address])
        timer = threading.Timer(SHORT_S, flush, (broker, TOKEN))
        timer.start()
        assert check.wait_for(TOKEN, LIMIT_S)
        timer.join()
        check.close()


def test_one_of_several_brokers_is_enough() -> None:
    with running_broker() as broker:
        check = FlushCheck([f"tcp://127.0.0.1:{free_port_block(4)}", broker.address])
        flush(broker, TOKEN)
        assert check.wait_for(TOKEN, LIMIT_S)
        check.close()


def test_broker_that_starts_later_is_asked_again() -> None:
    broker = LoopbackBroker(free_port_block(4))
    check = FlushCheck([broker.address])
    assert not check.wait_for(TOKEN, SHORT_S)
    broker.start()
    try:
        flush(broker, TOKEN)
        assert check.wait_for(TOKEN, LIMIT_S)
    finally:
        check.close()
        broker.stop()
