"""Tests of `zmqio.nats.bus`, on a real server."""

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from tests.support.bus_events import RecordedEvents
from tests.support.nats_server import NatsCluster, NatsServerProcess
from tests.support.ports import free_port
from tests.support.timing import wait_until
from zmqio.config import BusOptions
from zmqio.exceptions import MessageTooLargeError
from zmqio.ids import NodeId, NodeTag
from zmqio.nats.addresses import parse_servers
from zmqio.nats.bus import NatsBus
from zmqio.nats.login import load_login
from zmqio.protocol.topic import all_topic, inbox_topic, owner_prefix, room_topic

ALL = all_topic("zmqio")
HARD_NAMES = ["a b", "*", ">", ".", "$SYS", "\U0001f600", "x" * 5_000, "", "\r\nPUB a 0\r\n"]


@pytest.fixture(scope="module")
def server() -> Iterator[NatsServerProcess]:
    """One server for all tests; each uses topics of its own."""
    with NatsServerProcess() as process:
        yield process


@contextlib.asynccontextmanager
async def running_bus(address: str, *, ready: bool = True, **options: Any) -> AsyncIterator[tuple[NatsBus, Any]]:
    recorded = RecordedEvents()
    servers = parse_servers(address)
    bus = NatsBus(servers, BusOptions(**{"max_message_bytes": 1 << 20, **options}), load_login(servers))
    await bus.start(recorded)
    try:
        if ready:
            await wait_until(lambda: bus.connected_links, "the link is ready")
        yield bus, recorded
    finally:
        await bus.close()


async def test_message_reaches_every_subscribed_bus_and_the_publisher_itself(server: NatsServerProcess) -> None:
    async with running_bus(server.address) as (one, received), running_bus(server.address) as (two, also):
        await asyncio.gather(one.subscribe([ALL]), two.subscribe([ALL]))
        assert one.publish(ALL, b"hello") == 1
        await wait_until(lambda: received.messages and also.messages, "the message")
        assert received.messages == also.messages == [(0, ALL, b"hello")]
        assert one.problems == []


@pytest.mark.parametrize("room", HARD_NAMES)
async def test_any_name_of_a_room_works(server: NatsServerProcess, room: str) -> None:
    async with running_bus(server.address) as (bus, received):
        topics = [room_topic("zmqio", "/", room), room_topic("zmqio", "/", "last")]
        await bus.subscribe(topics)
        bus.publish(topics[0], b"body")
        bus.publish(topics[1], b"")
        await wait_until(lambda: len(received.messages) == 2, "both messages")
        assert received.messages == [(0, topics[0], b"body"), (0, topics[1], b"")]


async def test_messages_to_sessions_of_a_tag_arrive_once(server: NatsServerProcess) -> None:
    topic = room_topic("zmqio", "/", "abcd" + "0" * 16)
    async with running_bus(server.address) as (bus, received):
        await bus.subscribe([owner_prefix("zmqio", NodeTag("abcd")), ALL])
        await bus.subscribe([topic])
        bus.publish(topic, b"1")
        bus.publish(ALL, b"2")
        await wait_until(lambda: received.bodies[-1:] == [b"2"], "the last message")
        assert received.bodies == [b"1", b"2"]


async def test_message_after_the_last_unsubscribe_does_not_arrive(server: NatsServerProcess) -> None:
    topic = room_topic("zmqio", "/", "left")
    async with running_bus(server.address) as (bus, received):
        await bus.subscribe([topic, topic, ALL])
        bus.unsubscribe([topic])
        bus.publish(topic, b"1")
        bus.unsubscribe([topic])
        bus.publish(topic, b"2")
        bus.publish(ALL, b"3")
        await wait_until(lambda: received.bodies[-1:] == [b"3"], "the last message")
        assert b"2" not in received.bodies


async def test_message_over_the_limit_is_refused(server: NatsServerProcess) -> None:
    async with running_bus(server.address) as (bus, received):
        await bus.subscribe([ALL])
        largest = b"x" * ((1 << 20) - len(ALL))
        bus.publish(ALL, largest)
        with pytest.raises(MessageTooLargeError):
            bus.publish(ALL, largest + b"x")
        await wait_until(lambda: received.bodies == [largest], "the largest message")


async def test_without_a_server_nothing_is_accepted_and_joins_do_not_wait() -> None:
    async with running_bus(f"nats://127.0.0.1:{free_port()}", ready=False) as (bus, _):
        await bus.subscribe([ALL])
        assert bus.publish(ALL, b"") == 0
        assert bus.connected_links == ()


async def test_link_reports_the_loss_and_subscribes_again() -> None:
    with NatsServerProcess() as server:
        async with running_bus(server.address) as (bus, received):
            await bus.subscribe([ALL])
            await server.restart()
            await wait_until(lambda: received.changes[-1:] == [("link_connected", 0)], "the reconnection")
            await wait_until(lambda: len(received.changes) >= 3, "the loss before it")
            assert received.changes[:3] == [("link_connected", 0), ("link_lost", 0), ("link_connected", 0)]
            bus.publish(ALL, b"again")
            await wait_until(lambda: received.bodies == [b"again"], "a message")
            assert bus.counters["broker_losses"] == 1


async def test_full_queue_is_reported_when_the_server_reads_again() -> None:
    with NatsServerProcess() as server:
        async with running_bus(server.address, publish_queue_messages=10) as (bus, received):
            server.pause()
            try:
                for _ in range(20_000):
                    if not bus.publish(ALL, b"x" * 60_000):
                        break
                    await asyncio.sleep(0)
                else:
                    raise AssertionError("the queue never becomes full")
                assert bus.publish(ALL, b"") == 0
            finally:
                server.resume()
            await wait_until(lambda: ("link_writable", 0) in received.changes, "the event")
            assert bus.counters["bus_queue_overflows"] == 1


async def test_close_sends_the_queue(server: NatsServerProcess) -> None:
    async with running_bus(server.address) as (reader, received):
        await reader.subscribe([ALL])
        async with running_bus(server.address) as (bus, _):
            for number in range(1_000):
                bus.publish(ALL, b"%d" % number)
        await wait_until(lambda: len(received.messages) == 1_000, "all messages")


@pytest.mark.parametrize("make", [NatsServerProcess, lambda: NatsCluster(2)], ids=["server", "cluster"])
async def test_inbox_whose_node_is_gone_is_reported_when_a_message_is_sent_to_it(
    make: Callable[[], NatsServerProcess | NatsCluster],
) -> None:
    inbox = inbox_topic("zmqio", NodeId("tag2BBBBBBBBBBB"))
    with make() as servers:
        addresses = [servers.address] if isinstance(servers, NatsServerProcess) else servers.addresses
        here, there = addresses[0], addresses[-1]
        async with running_bus(here) as (bus, received):
            async with running_bus(there) as (peer, peer_received):
                await peer.subscribe([inbox])
                bus.publish(inbox, b"1")
                await wait_until(lambda: peer_received.bodies == [b"1"], "the message")

            def is_reported() -> bool:
                bus.publish(inbox, b"2")
                return (f"departed {inbox!r}", 0) in received.changes

            assert (f"departed {inbox!r}", 0) not in received.changes
            await wait_until(is_reported, "the report")


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
async def test_goodbye_leaves_a_process_that_ends_without_closing(server: NatsServerProcess, loop: str) -> None:
    program = f"""
import asyncio, uvloop, atexit
from tests.nats.test_bus import *
async def main():
    global bus
    servers = parse_servers({server.address!r})
    bus = NatsBus(servers, BusOptions(max_message_bytes=1 << 20), load_login(servers))
    await bus.start(RecordedEvents())
    await wait_until(lambda: bus.connected_links, "ready")
{loop}.run(main())
bus.publish(ALL, b"goodbye")
bus.close_sync()
"""
    async with running_bus(server.address) as (reader, received):
        await reader.subscribe([ALL])
        done = await asyncio.to_thread(
            subprocess.run, [sys.executable, "-c", program], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        await wait_until(lambda: received.bodies == [b"goodbye"], f"the goodbye; {done.stderr}")
