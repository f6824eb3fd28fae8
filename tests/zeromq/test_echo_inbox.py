"""Tests of `zmqio.zeromq.echo_inbox`, with a small broker in this process."""

import asyncio
import threading

import zmq

from tests.support.loopback_broker import LoopbackBroker, running_broker
from tests.support.ports import free_port_block
from tests.support.timing import LIMIT_S, wait_until
from zmqio.zeromq.echo_inbox import EchoInbox

TOPIC = b"zmqio/u/me\0"
SHORT_S = 0.05


def publish(broker: LoopbackBroker, *frames: bytes) -> None:
    """Publish frames through the ingest endpoint of the broker."""
    base = int(broker.address.rpartition(":")[2])
    with zmq.Context() as context, context.socket(zmq.PUSH) as push:
        push.setsockopt(zmq.LINGER, int(LIMIT_S * 1000))
        push.connect(f"tcp://127.0.0.1:{base + 3}")
        for frame in frames:
            push.send(frame)


async def subscribed(broker: LoopbackBroker) -> None:
    await wait_until(lambda: TOPIC in broker.subscribed, "the subscription")


async def test_awaited_body_is_found_among_others() -> None:
    with running_broker() as broker:
        inbox = EchoInbox([broker.address], TOPIC)
        await subscribed(broker)
        publish(broker, TOPIC + b"old", b"zmqio/u/you\0new", TOPIC + b"new", TOPIC + b"later")
        assert inbox.wait_for(b"new", LIMIT_S)
        inbox.close()


async def test_awaited_body_is_found_on_an_event_loop() -> None:
    with running_broker() as broker:
        inbox = EchoInbox([broker.address], TOPIC)
        await subscribed(broker)
        waiting = asyncio.create_task(inbox.wait_for_async(b"new", LIMIT_S))
        await asyncio.sleep(0)
        await asyncio.to_thread(publish, broker, TOPIC + b"old", TOPIC + b"new")
        assert await waiting
        inbox.close()


async def test_wait_times_out_without_the_body() -> None:
    with running_broker() as broker:
        inbox = EchoInbox([broker.address], TOPIC)
        await subscribed(broker)
        publish(broker, TOPIC + b"old")
        assert not inbox.wait_for(b"new", SHORT_S)
        assert not await inbox.wait_for_async(b"new", SHORT_S)
        inbox.close()


def test_body_that_arrives_later_ends_the_wait() -> None:
    with running_broker() as broker:
        inbox = EchoInbox([broker.address], TOPIC)
        stop = threading.Event()

        def publish_until_found() -> None:
            while not stop.wait(SHORT_S):
                publish(broker, TOPIC + b"new")

        thread = threading.Thread(target=publish_until_found)
        thread.start()
        assert inbox.wait_for(b"new", LIMIT_S)
        stop.set()
        thread.join(LIMIT_S)
        inbox.close()


async def test_body_from_any_of_several_brokers_is_found() -> None:
    with running_broker() as broker:
        inbox = EchoInbox([f"tcp://127.0.0.1:{free_port_block(4)}", broker.address], TOPIC)
        await subscribed(broker)
        publish(broker, TOPIC + b"new")
        assert inbox.wait_for(b"new", LIMIT_S)
        inbox.close()
        inbox.close()
