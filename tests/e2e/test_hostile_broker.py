"""Peers that make a broker's memory grow: they are disconnected, and other nodes do not notice."""

import asyncio
import resource
import secrets
import socket
import struct
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import psutil
import pytest
import zmq
from zmqio_broker.subscription_guard import BLOCKED_S

from tests.support.broker import BrokerProcess
from tests.support.broker_peers import barrier, connected, counted, raw_peer
from tests.support.bus_events import running_bus
from tests.support.keys import KeyFolder
from tests.support.timing import LIMIT_S, wait_until

MB = 1_000_000


@pytest.fixture(scope="module")
def process() -> Iterator[BrokerProcess]:
    with BrokerProcess("--node-queue-bytes", "8000000", "--subscription-bytes", "1000000") as started:
        yield started


def growth(process: BrokerProcess, before: int) -> int:
    return int(psutil.Process(process.pid).memory_info().rss) - before


def flood(process: BrokerProcess, peer: socket.socket, pieces: Iterable[bytes]) -> None:
    """Send until the broker has closed the connection, which goes unnoticed where it no longer reads."""
    closed, ends_at = process.statistics()["connections_closed"], time.monotonic() + LIMIT_S
    peer.settimeout(0.5)
    with suppress(ConnectionError):
        for piece in pieces:
            rest = memoryview(piece)
            while rest:
                try:
                    rest = rest[peer.send(rest) :]
                except TimeoutError:  # it reads no longer, or is only slow
                    if process.statistics()["connections_closed"] > closed:
                        return
                    assert time.monotonic() < ends_at, "it neither reads nor closes"


def lowest_free_descriptor(process: BrokerProcess) -> int:
    used = {int(path.name) for path in Path(f"/proc/{process.pid}/fd").iterdir()}
    return min(set(range(len(used) + 1)) - used)


@pytest.mark.parametrize(("role", "limit"), [("publish", 67 * MB), ("subscribe", 2 * MB), ("ingest", 67 * MB)])
async def test_message_of_frames_without_an_end_is_cut_off(process: BrokerProcess, role: str, limit: int) -> None:
    frame = b"\x03" + struct.pack(">Q", 4_000) + bytes(4_000)  # 3: more frames follow, and the length has 8 bytes
    closed = process.statistics()["connections_closed"]
    with raw_peer(process, role, "127.0.0.2") as peer:
        flood(process, peer, (frame * 250 for _ in range(limit * 3 // 2 // (250 * len(frame)))))
        await wait_until(lambda: process.statistics()["connections_closed"] == closed + 1, "the end")


async def test_node_that_does_not_read_is_disconnected_and_another_receives_everything(
    process: BrokerProcess,
) -> None:
    before = psutil.Process(process.pid).memory_info().rss
    closed = process.statistics()["connections_closed"]
    with (
        zmq.Context() as context,
        connected(context, zmq.SUB, process.endpoint("subscribe")) as reading,
        connected(context, zmq.XPUB, process.endpoint("publish")) as publisher,
        raw_peer(process, "subscribe") as unread,
    ):
        unread.sendall(b"\x00\x01\x01")
        reading.subscribe(b"topic/")
        barrier(reading)
        assert publisher.recv() == b"\x01"
        for number in range(10_000):
            publisher.send(b"topic/%d/" % number + bytes(200_000))
            assert reading.recv().startswith(b"topic/%d/" % number)
            if number % 20 == 0 and process.statistics()["connections_closed"] > closed:
                break
        else:
            raise AssertionError("it was not disconnected")
        queued_bytes = number * 200_000  # at most; the system may get this memory back later, or never
        for later in range(2_000):
            publisher.send(b"topic/%d/" % later + bytes(200_000))
            assert reading.recv().startswith(b"topic/%d/" % later)
        assert growth(process, before) < queued_bytes + 200 * MB, "messages are still queued for it"
    assert "connection_closed" in process.wait_for_line("--node-queue-bytes")


def subscriptions(count: int) -> bytes:
    """Subscriptions to topics of rooms with random names of 30 characters."""
    topics = [b"zmqio/r//\0" + secrets.token_bytes(30) for _ in range(count)]
    return b"".join(bytes((0, 1 + len(topic), 1)) + topic for topic in topics)


async def test_node_that_subscribes_without_end_is_closed_and_others_join_and_receive(
    process: BrokerProcess,
) -> None:
    """Memory depends on when the broker's thread runs: `python -m tests.bench.topics --only flood` measures it."""
    closed = process.statistics()["connections_closed"]
    with (
        zmq.Context() as context,
        connected(context, zmq.SUB, process.endpoint("subscribe")) as node,
        connected(context, zmq.XPUB, process.endpoint("publish")) as publisher,
    ):
        node.subscribe(b"topic/")
        barrier(node)
        assert publisher.recv() == b"\x01"
        topics = subscriptions(300_000)  # 13 MB, of which the broker accepts 1 MB
        with raw_peer(process, "subscribe", "127.0.0.3") as peer:
            began_s = time.monotonic()
            flood(process, peer, [topics])
            publisher.send(b"topic/during the flood")
            assert node.recv() == b"topic/during the flood"
            node.subscribe(b"another topic/")
            barrier(node)
            publisher.send(b"another topic/")
            assert node.recv() == b"another topic/"
        address = ("127.0.0.1", process.hello["ports"]["subscribe"])
        # It is blocked for a time: no answer, instead of another flood.
        with suppress(OSError), socket.create_connection(address, 0.1, ("127.0.0.3", 0)):
            assert time.monotonic() - began_s > BLOCKED_S, "it could connect again at once"
        await wait_until(lambda: process.statistics()["topics"] < 10, "its topics to be removed")
        await wait_until(lambda: process.statistics()["connections_closed"] == closed + 1, "the count")
    assert "--subscription-bytes" in process.wait_for_line("127.0.0.3")


@pytest.mark.parametrize("with_keys", [False, True])
async def test_node_with_more_topics_than_the_broker_accepts_says_so(tmp_path: Path, with_keys: bool) -> None:
    keys = KeyFolder(tmp_path) if with_keys else None
    mechanisms = [keys.node.load(1)[0].mechanism()] if keys else []
    topics = [b"zmqio/r//\0room-%010d\0" % number for number in range(5_000)]
    # The topics of all nodes may have 16 times as many bytes: 96,000. These have 130,000.
    with BrokerProcess("--subscription-bytes", "6000", keys=keys) as process:
        async with running_bus(process.address, mechanisms=mechanisms) as (bus, _):
            _ = bus.subscribe(topics)
            await process.restart_async()
            await wait_until(lambda: "--subscription-bytes" in "".join(bus.problems), "the reason")


@pytest.mark.parametrize("with_keys", [False, True])
async def test_node_with_more_topics_than_may_be_sent_at_once_sends_them_at_the_permitted_pace(
    tmp_path: Path, with_keys: bool
) -> None:
    keys = KeyFolder(tmp_path) if with_keys else None
    mechanisms = [keys.node.load(1)[0].mechanism()] if keys else []
    # 1.74 MB, or 3.72 MB with keys. The limit is 1.57 MB, or 3.54 MB.
    topics = [b"zmqio/r//\0room-%010d\0" % number for number in range(60_000)]
    with BrokerProcess(keys=keys) as process:
        async with running_bus(process.address, mechanisms=mechanisms) as (bus, _):
            await bus.subscribe(topics)
            await process.restart_async()
            await wait_until(lambda: process.statistics()["topics"] >= len(topics), "all topics, once more")
            assert process.statistics()["connections_closed"] == 0


def received_byte(connection: socket.socket) -> bool:
    """Wait for the first byte; return False if the connection ends instead."""
    with suppress(ConnectionError):
        return connection.recv(1) != b""
    return False


async def test_broker_without_descriptors_pauses_and_recovers() -> None:
    """As when the whole system has none: libzmq then tried 50,000 times in a second, on each endpoint."""
    with BrokerProcess() as process, zmq.Context() as context, ExitStack() as stack:
        with connected(context, zmq.SUB, process.endpoint("subscribe")) as node:
            node.subscribe(b"topic/")
            barrier(node)
            await counted(process, "subscribe")
            _, hard = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
            address = ("127.0.0.1", process.hello["ports"]["publish"])
            while True:
                resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (lowest_free_descriptor(process), hard))
                refused = stack.enter_context(socket.create_connection(address, timeout=LIMIT_S))
                if not received_byte(refused):
                    break  # else a connection of the start has just freed a descriptor, which this one has now
            cpu_s, began_s = sum(psutil.Process(process.pid).cpu_times()[:2]), time.monotonic()
            await asyncio.sleep(1)
            used_s = sum(psutil.Process(process.pid).cpu_times()[:2]) - cpu_s
            assert used_s < 0.5 * (time.monotonic() - began_s)
            resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (hard, hard))
            with connected(context, zmq.XPUB, process.endpoint("publish")) as publisher:
                assert publisher.recv() == b"\x01"
                publisher.send(b"topic/after the pause")
                assert node.recv() == b"topic/after the pause"
        assert 0 < process.statistics()["peers"]["publish"]["accept_failures"] < 20_000
