"""Tests of `zmqio.zeromq.bus`."""

import asyncio
import os
import subprocess
import sys

import pytest
import structlog

from tests.support.bus_events import RecordedEvents, running_bus
from tests.support.loopback_broker import LoopbackBroker, running_broker
from tests.support.ports import free_port_block
from tests.support.timing import LIMIT_S, wait_until
from zmqio.config import BusOptions
from zmqio.exceptions import ConfigError, MessageTooLargeError
from zmqio.zeromq import link
from zmqio.zeromq.bus import ZmqBus

ALL = b"zmqio/a/\0"


def nowhere() -> str:
    """An address without a listener."""
    return f"tcp://127.0.0.1:{free_port_block(4)}"


@pytest.mark.parametrize("addresses", [[], ["tcp://a:1", "tcp://a:1"]])
def test_no_address_and_a_repeated_address_are_rejected(addresses):
    with pytest.raises(ConfigError):
        ZmqBus(addresses, BusOptions())


async def test_message_reaches_every_subscribed_bus_and_the_publisher_itself():
    with running_broker() as broker:
        async with (
            running_bus(broker.address) as (one, received),
            running_bus(broker.address) as (two, also_received),
        ):
            await asyncio.gather(one.subscribe([ALL]), two.subscribe([ALL]))
            one.publish(ALL, b"hello")
            await wait_until(lambda: received.messages and also_received.messages, "the message")
            assert received.messages == also_received.messages == [(0, ALL, b"hello")]
            assert one.problems == []


async def test_start_does_not_wait_and_no_link_accepts_a_message_without_a_broker():
    address = nowhere()
    async with running_bus(address, ready=()) as (bus, recorded):
        assert bus.publish(ALL, b"x") == 0
        assert bus.publish(ALL, b"x", link=0) == 0
        assert bus.brokers == address
        await wait_until(lambda: bus.problems == ["broker 0: Connection refused"], "the reason")
        await bus.subscribe([ALL])
        assert recorded.changes == []
        assert bus.connected_links == frozenset()


async def test_subscription_made_without_a_broker_is_applied_when_one_connects():
    broker = LoopbackBroker(free_port_block(4))
    async with running_bus(broker.address, ready=()) as (bus, recorded):
        await bus.subscribe([ALL])
        broker.start()
        await wait_until(lambda: recorded.changes == [("link_connected", 0)], "back")
        bus.publish(ALL, b"x")
        await wait_until(lambda: recorded.bodies == [b"x"], "the message")
    broker.stop()


async def test_too_large_message_is_rejected_with_and_without_a_broker():
    async with running_bus(nowhere(), ready=(), max_message_bytes=1_000) as (bus, _):
        with pytest.raises(MessageTooLargeError) as caught:
            bus.publish(ALL, bytes(1_001 - len(ALL)))
        assert (caught.value.size_bytes, caught.value.limit_bytes) == (1_001, 1_000)
    with running_broker() as broker:
        async with running_bus(broker.address, max_message_bytes=1_000) as (bus, recorded):
            await bus.subscribe([ALL])
            bus.publish(ALL, bytes(1_000 - len(ALL)))
            await wait_until(lambda: recorded.messages, "a message of exactly the limit")


async def test_subscriptions_of_one_turn_share_one_sync_request(monkeypatch):
    with running_broker() as broker:
        async with running_bus(broker.address) as (bus, _):
            monkeypatch.setattr(link, "ASK_AGAIN_S", LIMIT_S)  # a slow answer does not cause another request
            before = len(broker.asked)
            await asyncio.gather(*(bus.subscribe([b"zmqio/r//\0%d\0" % number]) for number in range(50)))
            assert len(broker.asked) == before + 1


async def test_cancelled_waiter_does_not_affect_the_others():
    with running_broker() as broker:
        async with running_bus(broker.address) as (bus, _):
            one, two = bus.subscribe([ALL]), bus.subscribe([ALL])
            one.cancel()
            await two
            assert broker.subscribed == [ALL]


async def test_subscribe_does_not_wait_for_a_dead_second_broker():
    with running_broker() as broker:
        # Waiting for this time-out would exceed the time limit of the test.
        options = {"ready": 1, "barrier_timeout_s": 10_000.0}
        async with running_bus(nowhere(), broker.address, **options) as (bus, recorded):
            await bus.subscribe([ALL])
            bus.publish(ALL, b"x")
            await wait_until(lambda: recorded.messages == [(1, ALL, b"x")], "the message")


async def test_subscribe_waits_for_an_unresponsive_broker_at_most_for_the_barrier_timeout():
    with running_broker() as good, running_broker() as mute:
        async with running_bus(good.address, mute.address, barrier_timeout_s=0.05, dead_after_s=1e6) as (bus, _):
            mute.answers = False
            await bus.subscribe([ALL])
            assert good.subscribed == [ALL]
            assert bus.connected_links == {0, 1}


async def test_hanging_broker_delays_one_join_and_no_other_until_it_acknowledges_again():
    with running_broker() as good, running_broker() as mute:
        options = {"barrier_timeout_s": 3.0, "dead_after_s": 1e6}  # the good one answers sooner
        async with running_bus(good.address, mute.address, **options) as (bus, recorded):
            mute.answers = False
            for number in range(20):
                await bus.subscribe([b"zmqio/r//\0%d\0" % number])
            assert bus.counters["bus_barrier_timeouts"] == 1
            # Some subscriptions are not applied there, so it counts as lost.
            assert recorded.changes[2:] == [("link_lost", 1)]
            mute.answers = True
            await wait_until(
                lambda: recorded.changes[2:] == [("link_lost", 1), ("link_connected", 1)], "connected again"
            )
            assert len(mute.subscribed) == 20


async def test_time_until_a_broker_applies_subscriptions_is_counted():
    with running_broker() as broker:
        async with running_bus(broker.address) as (bus, _):
            for number in range(3):
                await bus.subscribe([b"zmqio/r//\0%d\0" % number])
            await wait_until(lambda: bus.counters["barriers_passed"] == 3, "three barriers")
            assert bus.counters["barrier_microseconds"] > 0


async def test_every_message_arrives_through_both_brokers():
    with running_broker() as one, running_broker() as two:
        async with running_bus(one.address, two.address) as (bus, recorded):
            await bus.subscribe([ALL])
            assert bus.publish(ALL, b"x") == 2
            await wait_until(lambda: len(recorded.messages) == 2, "both copies")
            assert sorted(recorded.messages) == [(0, ALL, b"x"), (1, ALL, b"x")]


async def test_message_for_one_link_is_sent_on_that_link_only():
    with running_broker() as one, running_broker() as two:
        async with running_bus(one.address, two.address) as (bus, recorded):
            await bus.subscribe([ALL])
            assert bus.publish(ALL, b"x", link=1) == 1
            assert bus.publish(ALL, b"y") == 2
            await wait_until(lambda: len(recorded.messages) == 3, "all copies")
            assert sorted(recorded.messages) == [(0, ALL, b"y"), (1, ALL, b"x"), (1, ALL, b"y")]


async def test_loss_of_a_broker_is_reported_and_the_other_continues():
    with running_broker() as one, running_broker() as two:
        async with running_bus(one.address, two.address) as (bus, recorded):
            await bus.subscribe([ALL])
            one.stop()
            await wait_until(lambda: ("link_lost", 0) in recorded.changes, "lost")
            assert bus.connected_links == {1}
            assert bus.counters["broker_losses"] == 1
            bus.publish(ALL, b"x")
            await wait_until(lambda: recorded.messages == [(1, ALL, b"x")], "the message")


async def test_malformed_messages_are_counted_logged_once_and_dropped():
    with running_broker() as broker, structlog.testing.capture_logs() as lines:
        async with running_bus(broker.address) as (bus, recorded):
            await bus.subscribe([b""])
            for number in range(20):
                bus.publish(b"malformed", b"%d" % number)
            bus.publish(ALL, b"good")
            await wait_until(lambda: recorded.messages, "the good message")
            assert bus.counters["bus_message_malformed"] == 20
    assert [line["event"] for line in lines].count("bus_message_malformed") == 1


async def test_close_releases_waiters():
    with running_broker() as broker:
        async with running_bus(broker.address) as (bus, _):
            broker.answers = False
            requested = bus.subscribe([ALL])
            await wait_until(lambda: ALL in broker.subscribed, "subscribed")
            not_requested_yet = bus.subscribe([b"zmqio/r//\0x\0"])
            await bus.close()
            await asyncio.gather(requested, not_requested_yet)


async def test_close_sends_queued_messages():
    with running_broker() as broker:
        async with running_bus(broker.address) as (receiver, recorded):
            await receiver.subscribe([ALL])
            async with running_bus(broker.address) as (sender, _):
                for number in range(500):
                    sender.publish(ALL, b"%d" % number)
            await wait_until(lambda: len(recorded.messages) == 500, "all messages")
            assert recorded.bodies == [b"%d" % number for number in range(500)]


async def test_closed_bus_accepts_nothing_and_a_second_close_does_nothing():
    with running_broker() as broker:
        async with running_bus(broker.address) as (bus, recorded):
            await bus.close()
            assert bus.publish(ALL, b"x") == 0
            await bus.subscribe([ALL])
            bus.unsubscribe([ALL])
            bus.close_sync()
            assert recorded.changes == [("link_connected", 0)]


def test_close_sync_sends_queued_messages_after_the_loop_is_closed():
    with running_broker() as broker:
        buses = []

        async def publish_and_return():
            bus = ZmqBus([broker.address], BusOptions())
            recorded = RecordedEvents()
            await bus.start(recorded)
            await wait_until(lambda: recorded.changes, "connected")
            waiter = bus.subscribe([ALL])
            bus.publish(b"zmqio/u/goodbye\0", b"bye")
            buses.append((bus, waiter))

        async def listen():
            async with running_bus(broker.address) as (bus, recorded):
                await bus.subscribe([b"zmqio/u/"])
                await asyncio.to_thread(asyncio.run, publish_and_return())
                await asyncio.to_thread(buses[0][0].close_sync)
                await wait_until(lambda: recorded.bodies == [b"bye"], "the goodbye")

        asyncio.run(listen())


async def test_close_sync_in_a_forked_child_does_not_affect_the_parent():
    with running_broker() as broker:
        async with running_bus(broker.address) as (bus, recorded):
            await bus.subscribe([ALL])
            pid = os.fork()
            if pid == 0:
                bus.close_sync()
                os._exit(0)
            _, status = await asyncio.to_thread(os.waitpid, pid, 0)
            assert status == 0
            bus.publish(ALL, b"x")
            await wait_until(lambda: recorded.bodies == [b"x"], "the message")


def test_node_does_not_import_libzmq():
    """Its threads and its 2 MB are not needed to speak ZMTP."""
    code = "import sys, zmqio.zeromq.adapter; sys.exit('zmq' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
