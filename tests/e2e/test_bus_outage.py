"""A bus whose broker is missing, killed, paused, or not a broker at all."""

import asyncio

import structlog

from tests.support.broker import BrokerProcess
from tests.support.bus_events import running_bus
from tests.support.http_server import web_servers
from tests.support.timing import wait_until

ALL = b"zmqio/a/\0"


async def test_bus_that_starts_before_its_broker_connects_when_the_broker_starts():
    broker = BrokerProcess()
    async with running_bus(broker.address, ready=()) as (bus, recorded):
        assert bus.publish(ALL, b"nobody there") == 0
        await bus.subscribe([ALL])
        async with broker:
            await wait_until(lambda: recorded.changes == [("link_connected", 0)], "back")
            bus.publish(ALL, b"x")
            await wait_until(lambda: recorded.bodies == [b"x"], "the message")


async def test_restarted_broker_is_reported_lost_and_connected_each_time():
    with structlog.testing.capture_logs() as lines:
        async with BrokerProcess() as broker, running_bus(broker.address) as (bus, recorded):
            await bus.subscribe([ALL])
            for times in range(1, 4):
                await asyncio.to_thread(broker.kill)
                await wait_until(lambda: recorded.changes[-1] == ("link_lost", 0), "lost")
                assert bus.publish(ALL, b"lost") == 0
                await asyncio.to_thread(broker.start)
                await wait_until(lambda: recorded.changes[-1] == ("link_connected", 0), "back")
                bus.publish(ALL, b"%d" % times)
                await wait_until(lambda times=times: len(recorded.bodies) == times, "the message")
            assert recorded.bodies == [b"1", b"2", b"3"]
    events = [line["event"] for line in lines if line["log_level"] != "debug"]
    assert (
        events
        == ["broker_connecting", "broker_connected"]
        + ["broker_lost", "broker_restarted", "broker_reconnected"] * 3
    )


async def test_publishing_during_a_restart_neither_hangs_nor_reorders():
    async with BrokerProcess() as broker, running_bus(broker.address) as (bus, recorded):
        await bus.subscribe([ALL])
        restarting = asyncio.create_task(broker.restart_async())
        number = 0
        while not restarting.done() or recorded.changes[-1] != ("link_connected", 0):
            bus.publish(ALL, b"%06d" % number)
            number += 1
            await asyncio.sleep(0.001)
        bus.publish(ALL, b"999999")
        await wait_until(lambda: recorded.bodies[-1:] == [b"999999"], "the last message")
        assert recorded.bodies == sorted(set(recorded.bodies))


async def test_paused_broker_is_reported_lost_and_connected_again():
    async with BrokerProcess() as broker, running_bus(broker.address) as (bus, recorded):
        await bus.subscribe([ALL])
        broker.pause()
        try:
            await wait_until(lambda: recorded.changes == [("link_connected", 0), ("link_lost", 0)], "lost")
        finally:
            broker.resume()
        await wait_until(lambda: recorded.changes[-1] == ("link_connected", 0), "back")
        bus.publish(ALL, b"x")
        await wait_until(lambda: b"x" in recorded.bodies, "the message")


async def test_subscriptions_during_outages_do_not_hang_and_are_all_applied():
    async with BrokerProcess() as broker, running_bus(broker.address) as (bus, recorded):
        restarting = asyncio.create_task(broker.restart_async())
        topics = []
        while not restarting.done() or recorded.changes[-1] != ("link_connected", 0):
            topics.append(b"zmqio/r//\0%d\0" % len(topics))
            await bus.subscribe([topics[-1]])
            await asyncio.sleep(0.001)
        await bus.subscribe([])
        for topic in topics:
            bus.publish(topic, b"")
        await wait_until(lambda: len(recorded.messages) == len(topics), "a message on every topic")


async def test_web_server_at_the_brokers_address_is_logged_and_a_later_broker_is_found():
    broker = BrokerProcess()
    base = int(broker.address.rpartition(":")[2])
    with structlog.testing.capture_logs() as lines:
        with web_servers(base, 4):
            bus_of = running_bus(broker.address, ready=())
            bus, recorded = await bus_of.__aenter__()
            await wait_until(lambda: any(line["event"] == "broker_handshake_failed" for line in lines), "told")
            await bus.subscribe([ALL])
            assert recorded.changes == []
        async with broker:
            await wait_until(lambda: recorded.changes == [("link_connected", 0)], "back")
            bus.publish(ALL, b"x")
            await wait_until(lambda: recorded.bodies == [b"x"], "the message")
        await bus_of.__aexit__(None, None, None)
    assert [line["event"] for line in lines].count("broker_handshake_failed") == 1
