"""Tests of `zmqio.zeromq.bus`."""

import asyncio
import os

import pytest
import structlog

from tests.support.bus_events import RecordedEvents, running_bus
from tests.support.loopback_broker import LoopbackBroker, running_broker
from tests.support.ports import free_port_block
from tests.support.timing import wait_until
from zmqio.config import BusOptions
from zmqio.exceptions import ConfigError, MessageTooLargeError
from zmqio.zeromq.bus import ZmqBus

ALL = b"zmqio/a/\0"


def nowhere() -> str:
    """An address at which nothing listens."""
    return f"tcp://127.0.0.1:{free_port_block(4)}"


@pytest.mark.parametrize("addresses", [[], ["tcp://a:1", "tcp://a:1"]])
def test_no_address_and_the_same_address_twice_are_refused(addresses):
    with pytest.raises(ConfigError):
        ZmqBus(addresses, BusOptions())


async def test_message_reaches_every_subscribed_bus_and_the_publisher_itself():
    with running_broker() as broker:
        async with running_bus(broker.address) as (one, heard), running_bus(broker.address) as (two, also_heard):
            await asyncio.gather(one.subscribe([ALL]), two.subscribe([ALL]))
            one.publish(ALL, b"hello")
            await wait_until(lambda: heard.messages and also_heard.messages, "the message")
            assert heard.messages == also_heard.messages == [(0, ALL, b"hello")]
            assert one.problems == []


async def test_start_returns_and_nothing_takes_a_message_while_no_broker_is_there():
    address = nowhere()
    async with running_bus(address, ready=()) as (bus, recorded):
        assert bus.publish(ALL, b"x") == 0
        assert bus.publish(ALL, b"x", link=0) == 0
        assert bus.brokers == address
        await wait_until(lambda: bus.problems == ["broker 0: Connection refused"], "the reason")
        await bus.subscribe([ALL])
        assert recorded.changes == []
        assert bus.connected_links == frozenset()


async def test_subscription_made_without_a_broker_is_applied_when_one_comes():
    broker = LoopbackBroker(free_port_block(4))
    async with running_bus(broker.address, ready=()) as (bus, recorded):
        await bus.subscribe([ALL])
        broker.start()
        await wait_until(lambda: recorded.changes == [("link_connected", 0)], "back")
        bus.publish(ALL, b"x")
        await wait_until(lambda: recorded.bodies == [b"x"], "the message")
    broker.stop()


async def test_too_large_message_is_refused_whether_a_broker_is_there_or_not():
    async with running_bus(nowhere(), ready=(), max_message_bytes=1_000) as (bus, _):
        with pytest.raises(MessageTooLargeError) as caught:
            bus.publish(ALL, bytes(1_001 - len(ALL)))
        assert (caught.value.size_bytes, caught.value.limit_bytes) == (1_001, 1_000)
    with running_broker() as broker:
        async with running_bus(broker.address, max_message_bytes=1_000) as (bus, recorded):
            await bus.subscribe([ALL])
            bus.publish(ALL, bytes(1_000 - len(ALL)))
            await wait_until(lambda: recorded.messages, "a message of exactly the limit")


async def test_subscriptions_of_one_turn_share_one_question():
    with running_broker() as broker:
        async with running_bus(broker.address) as (bus, _):
            before = len(broker.asked)
            await asyncio.gather(*(bus.subscribe([b"zmqio/r//\0%d\0" % number]) for number in range(50)))
            assert len(broker.asked) == before + 1


async def test_cancelled_waiter_leaves_the_others_waiting_for_the_broker():
    with running_broker() as broker:
        async with running_bus(broker.address) as (bus, _):
            one, two = bus.subscribe([ALL]), bus.subscribe([ALL])
            one.cancel()
            await two
            assert broker.subscribed == [ALL]


async def test_dead_second_broker_does_not_make_subscribe_wait():
    with running_broker() as broker:
        # A limit that would fail the test by its time limit if it were waited for.
        options = {"ready": 1, "barrier_timeout_s": 10_000.0}
        async with running_bus(nowhere(), broker.address, **options) as (bus, recorded):
            await bus.subscribe([ALL])
            bus.publish(ALL, b"x")
            await wait_until(lambda: recorded.messages == [(1, ALL, b"x")], "the message")


async def test_connected_broker_that_does_not_answer_is_waited_for_no_longer_than_the_barrier_timeout():
    with running_broker() as good, running_broker() as mute:
        async with running_bus(good.address, mute.address, barrier_timeout_s=0.05, dead_after_s=1e6) as (bus, _):
            mute.answers = False
            await bus.subscribe([ALL])
            assert good.subscribed == [ALL]
            assert bus.connected_links == {0, 1}


async def test_broker_that_hangs_makes_one_join_wait_and_no_other_until_it_answers_again():
    with running_broker() as good, running_broker() as mute:
        options = {"barrier_timeout_s": 0.05, "dead_after_s": 1e6}
        async with running_bus(good.address, mute.address, **options) as (bus, recorded):
            mute.answers = False
            for number in range(20):
                await bus.subscribe([b"zmqio/r//\0%d\0" % number])
            assert bus.counters["bus_barriers_cut_short"] == 1
            # What is published to a topic that it has not applied does not come by it: it counts as away.
            assert recorded.changes[2:] == [("link_lost", 1)]
            mute.answers = True
            await wait_until(
                lambda: recorded.changes[2:] == [("link_lost", 1), ("link_connected", 1)], "it is back"
            )
            assert len(mute.subscribed) == 20


async def test_two_brokers_both_carry_every_message():
    with running_broker() as one, running_broker() as two:
        async with running_bus(one.address, two.address) as (bus, recorded):
            await bus.subscribe([ALL])
            assert bus.publish(ALL, b"x") == 2
            await wait_until(lambda: len(recorded.messages) == 2, "both copies")
            assert sorted(recorded.messages) == [(0, ALL, b"x"), (1, ALL, b"x")]


async def test_message_by_one_link_alone_goes_nowhere_else():
    with running_broker() as one, running_broker() as two:
        async with running_bus(one.address, two.address) as (bus, recorded):
            await bus.subscribe([ALL])
            assert bus.publish(ALL, b"x", link=1) == 1
            assert bus.publish(ALL, b"y") == 2
            await wait_until(lambda: len(recorded.messages) == 3, "all copies")
            assert sorted(recorded.messages) == [(0, ALL, b"y"), (1, ALL, b"x"), (1, ALL, b"y")]


async def test_lost_broker_is_told_and_the_other_goes_on():
    with running_broker() as one, running_broker() as two:
        async with running_bus(one.address, two.address) as (bus, recorded):
            await bus.subscribe([ALL])
            one.stop()
            await wait_until(lambda: ("link_lost", 0) in recorded.changes, "lost")
            assert bus.connected_links == {1}
            assert bus.counters["bus_losses"] == 1
            bus.publish(ALL, b"x")
            await wait_until(lambda: recorded.messages == [(1, ALL, b"x")], "the message")


async def test_rubbish_is_counted_logged_once_and_stops_nothing():
    with running_broker() as broker, structlog.testing.capture_logs() as lines:
        async with running_bus(broker.address) as (bus, recorded):
            await bus.subscribe([b""])
            for number in range(20):
                bus.publish(b"rubbish", b"%d" % number)
            bus.publish(ALL, b"good")
            await wait_until(lambda: recorded.messages, "the good message")
            assert bus.counters["bus_frames_malformed"] == 20
    assert [line["event"] for line in lines].count("bus_frame_malformed") == 1


async def test_close_releases_whoever_still_waits():
    with running_broker() as broker:
        async with running_bus(broker.address) as (bus, _):
            broker.answers = False
            asked = bus.subscribe([ALL])
            await wait_until(lambda: ALL in broker.subscribed, "subscribed")
            not_asked_yet = bus.subscribe([b"zmqio/r//\0x\0"])
            await bus.close()
            await asyncio.gather(asked, not_asked_yet)


async def test_close_sends_what_is_queued():
    with running_broker() as broker:
        async with running_bus(broker.address) as (receiver, recorded):
            await receiver.subscribe([ALL])
            async with running_bus(broker.address) as (sender, _):
                for number in range(500):
                    sender.publish(ALL, b"%d" % number)
            await wait_until(lambda: len(recorded.messages) == 500, "all messages")
            assert recorded.bodies == [b"%d" % number for number in range(500)]


async def test_closed_bus_refuses_and_a_second_close_does_nothing():
    with running_broker() as broker:
        async with running_bus(broker.address) as (bus, recorded):
            await bus.close()
            assert bus.publish(ALL, b"x") == 0
            await bus.subscribe([ALL])
            bus.unsubscribe([ALL])
            bus.close_sync()
            assert recorded.changes == [("link_connected", 0)]


def test_abandon_after_the_loop_is_closed_sends_what_is_queued():
    with running_broker() as broker:
        buses = []

        async def publish_and_forget():
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
                await asyncio.to_thread(asyncio.run, publish_and_forget())
                await asyncio.to_thread(buses[0][0].close_sync)
                await wait_until(lambda: recorded.bodies == [b"bye"], "the goodbye")

        asyncio.run(listen())


async def test_abandon_in_a_forked_child_leaves_the_parents_bus_alone():
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
