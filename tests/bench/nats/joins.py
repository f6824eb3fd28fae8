"""`python -m tests.bench.nats.joins`: is a message lost that is published on another server right after a join?

- `joins`: a node at one server of a cluster of three joins a new room; as soon as the join has returned, a node at
  another server publishes to the room.
- `joins, no probes`: the same with PING and PONG as the only barrier. It must lose some messages.
- `hand-overs`: a room moves from one node to another at the same server, and a message is published elsewhere.
  NATS before 2.12.10 and 2.14.2 loses the subscription now and then.

The exit code is 1 if a message is lost with probes, or none without.
"""

import argparse
import contextlib
import statistics
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any
from unittest import mock

import uvloop

from tests.support.nats_server import NatsCluster, read_info
from tests.support.timing import wait_until
from zmqio.config import BusOptions
from zmqio.nats.addresses import parse_servers
from zmqio.nats.bus import NatsBus
from zmqio.nats.login import NatsLogin
from zmqio.nats.probes import NatsProbes
from zmqio.protocol.topic import all_topic, room_topic

__all__ = ["hand_overs", "joins", "running"]

ALL = all_topic("zmqio")


class Received:
    """Counts the messages of a node by topic."""

    def __init__(self) -> None:
        self.topics: Counter[bytes] = Counter()

    def message_received(self, link: int, topic: bytes, body: bytes) -> None:
        self.topics[topic] += 1

    def link_lost(self, link: int) -> None: ...

    def link_connected(self, link: int) -> None: ...

    def link_writable(self, link: int) -> None: ...

    def link_overrun(self, link: int) -> None: ...


@contextlib.asynccontextmanager
async def running(address: str) -> AsyncIterator[tuple[NatsBus, Received]]:
    """A bus at one server of a cluster."""
    received = Received()
    bus = NatsBus(parse_servers(address), BusOptions(max_message_bytes=1 << 20), NatsLogin())
    await bus.start(received)
    try:
        await wait_until(lambda: bus.connected_links, "the bus is ready")
        await bus.subscribe([ALL])
        yield bus, received
    finally:
        await bus.close()


async def joins(addresses: Any, count: int) -> tuple[int, list[float]]:
    """Return how many messages were lost, and the time of each join in milliseconds."""
    times_ms = []
    async with running(addresses[0]) as (here, received), running(addresses[1]) as (there, _):
        topics = [room_topic("zmqio", "/", f"room-{number}") for number in range(count)]
        for topic in topics:
            started_s = time.perf_counter()
            await here.subscribe([topic])
            there.publish(topic, b"")
            times_ms.append((time.perf_counter() - started_s) * 1e3)
        there.publish(ALL, b"")
        await wait_until(lambda: received.topics[ALL], "the last message")
        return sum(not received.topics[topic] for topic in topics), times_ms


async def hand_overs(addresses: Any, count: int, rooms: int = 50) -> int:
    """Return how many messages were lost after a room had moved from one node to another at the same server."""
    async with contextlib.AsyncExitStack() as stack:
        nodes = [await stack.enter_async_context(running(addresses[0])) for _ in range(2)]
        there, _ = await stack.enter_async_context(running(addresses[1]))
        topics = [room_topic("zmqio", "/", f"room-{number}") for number in range(rooms)]
        await nodes[0][0].subscribe(topics)
        lost = 0
        for turn in range(count // rooms):
            (old, _), (new, received) = nodes[turn % 2], nodes[(turn + 1) % 2]
            received.topics.clear()
            joined = new.subscribe(topics)
            old.unsubscribe(topics)
            await joined
            for topic in topics:
                there.publish(topic, b"")
            there.publish(ALL, b"")
            await wait_until(lambda received=received: received.topics[ALL], "the last message of the turn")
            lost += sum(not received.topics[topic] for topic in topics)
        return lost


async def run(options: argparse.Namespace) -> bool:
    with NatsCluster() as cluster:
        info = read_info(cluster.servers[0].port) or {}
        print(f"Python {sys.version.split()[0]}, NATS {info['version']}, three servers")
        with mock.patch.object(NatsProbes, "update", lambda *_: None):
            without = report("joins, no probes", *await joins(cluster.addresses, options.joins))
        lost = report("joins", *await joins(cluster.addresses, options.joins))
        moved = await hand_overs(cluster.addresses, options.hand_overs)
        print(f"{'hand-overs':<18}{options.hand_overs:>7} moves, {moved:>4} lost")
        return lost == moved == 0 < without


def report(name: str, lost: int, times_ms: list[float]) -> int:
    p50_ms = statistics.median(times_ms)
    print(f"{name:<18}{len(times_ms):>7} joins, {lost:>4} lost, p50 {p50_ms:.2f} ms")
    return lost


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.nats.joins")
    parser.add_argument("--joins", type=int, default=3_000)
    parser.add_argument("--hand-overs", type=int, default=30_000)
    sys.exit(0 if uvloop.run(run(parser.parse_args())) else 1)


if __name__ == "__main__":
    main()
