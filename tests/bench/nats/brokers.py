"""`python -m tests.bench.nats.brokers`: CPU and delay of a message through the ZeroMQ broker and through NATS.

One process publishes through the `Bus` of a node at a steady rate, another one receives, both on uvloop. The buses
take turns in every round. CPU is that of the whole process, of the broker or of all servers together; the delay is
from `publish` to the receiver's callback.
"""

import argparse
import asyncio
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import psutil
import uvloop

from tests.support.broker import BrokerProcess
from tests.support.nats_server import NatsCluster, NatsServerProcess, read_info
from tests.support.timing import wait_until
from zmqio.adapter.bus import Bus
from zmqio.config import BusOptions
from zmqio.nats.addresses import parse_servers
from zmqio.nats.bus import NatsBus
from zmqio.nats.login import NatsLogin
from zmqio.protocol.topic import all_topic, room_topic
from zmqio.zeromq.bus import ZmqBus

TOPIC, LAST = room_topic("zmqio", "/", "lobby"), all_topic("zmqio")
BODY_BYTES = 100


@dataclass(frozen=True, slots=True)
class Way:
    """A bus: its name, the addresses of publisher and receiver, the server processes."""

    name: str
    publisher: str
    receiver: str
    pids: Sequence[int]


class Receiver:
    """Records the delay of each message."""

    def __init__(self) -> None:
        self.delays_us: list[float] = []
        self.done = asyncio.Event()

    def message_received(self, link: int, topic: bytes, body: bytes) -> None:
        if topic == LAST:
            self.done.set()
        else:
            self.delays_us.append((time.monotonic_ns() - int(body[:20])) / 1e3)

    def link_lost(self, link: int) -> None: ...

    def link_connected(self, link: int) -> None: ...

    def link_writable(self, link: int) -> None: ...

    def link_overrun(self, link: int) -> None: ...


def make_bus(address: str) -> Bus:
    if address.startswith("nats"):
        return NatsBus(parse_servers(address), BusOptions(max_message_bytes=1 << 20), NatsLogin())
    return ZmqBus((address,), BusOptions())


async def child(role: str, address: str, rate: int, total: int) -> None:
    bus, receiver = make_bus(address), Receiver()
    await bus.start(receiver)
    await wait_until(lambda: bus.connected_links, "the bus is ready")
    if role == "receive":
        await bus.subscribe([TOPIC, LAST])
        print("ready", flush=True)
        started_s = time.process_time()
        await receiver.done.wait()
        cpu_us = (time.process_time() - started_s) / total * 1e6
        ordered = sorted(receiver.delays_us)
        print(len(ordered), cpu_us, ordered[len(ordered) // 2], ordered[len(ordered) * 99 // 100], flush=True)
    else:
        started_s = time.process_time()
        await publish(bus, rate, total)
        print((time.process_time() - started_s) / total * 1e6, flush=True)
    await bus.close()


async def publish(bus: Bus, rate: int, total: int) -> None:
    """Publish in bursts of at most 2 ms, which is what an event loop does with several senders."""
    started_s, sent, burst, filling = time.monotonic(), 0, max(1, rate // 500), b"x" * (BODY_BYTES - 20)
    while sent < total:
        for _ in range(burst):
            bus.publish(TOPIC, b"%020d" % time.monotonic_ns() + filling)
        sent += burst
        await asyncio.sleep(max(0.0, started_s + sent / rate - time.monotonic()))
    bus.publish(LAST, b"")


def measure(way: Way, rate: int, total: int) -> list[float]:
    """CPU of publisher, receiver and servers in us per message; p50 and p99 of the delay in us."""
    command = [sys.executable, "-m", "tests.bench.nats.brokers", "--child"]
    tail = [str(rate), str(total)]
    with subprocess.Popen(
        [*command, "receive", way.receiver, *tail], stdout=subprocess.PIPE, text=True
    ) as receiver:
        assert receiver.stdout is not None
        lines = iter(receiver.stdout.readline, "")
        next(line for line in lines if line.startswith("ready"))
        before_s = cpu_of(way.pids)
        sent = subprocess.run(
            [*command, "publish", way.publisher, *tail], stdout=subprocess.PIPE, text=True, check=True
        )
        result = next(line.split() for line in lines if line[0].isdigit() and len(line.split()) == 4)
        server_us = (cpu_of(way.pids) - before_s) / total * 1e6
    count, receive_us, p50_us, p99_us = map(float, result)
    assert count == total, f"{way.name}: {count} of {total} messages"
    return [float(sent.stdout.splitlines()[-1]), receive_us, server_us, p50_us, p99_us]


def cpu_of(pids: Sequence[int]) -> float:
    return sum(sum(psutil.Process(pid).cpu_times()[:2]) for pid in pids)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.nats.brokers")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--rates", type=int, nargs="*", default=[1_000, 15_000])
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        role, address, rate, total = options.child
        uvloop.run(child(role, address, int(rate), int(total)))
        return
    with ExitStack() as stack:
        broker = stack.enter_context(BrokerProcess())
        server = stack.enter_context(NatsServerProcess())
        cluster = stack.enter_context(NatsCluster(2))
        report(options, broker, server, cluster)


def report(
    options: argparse.Namespace, broker: BrokerProcess, server: NatsServerProcess, cluster: NatsCluster
) -> None:
    ways = [
        Way("zmqio broker", broker.address, broker.address, [broker.pid]),
        Way("NATS, one server", server.address, server.address, [server.pid]),
        Way("NATS, two servers", *cluster.addresses, [each.pid for each in cluster.servers]),
    ]
    info = read_info(server.port) or {}
    print(
        f"Python {sys.version.split()[0]}, NATS {info['version']}, {BODY_BYTES} B; CPU in us/message, delay in us"
    )
    print(f"{'rate':>7}  {'bus':<20}{'publish':>9}{'receive':>9}{'server':>9}{'p50':>8}{'p99':>8}")
    for rate in options.rates:
        found: dict[str, list[list[float]]] = {way.name: [] for way in ways}
        for _ in range(options.rounds):
            for way in ways:
                found[way.name].append(measure(way, rate, int(rate * options.seconds)))
        for name, rows in found.items():
            publish_us, receive_us, server_us, p50, p99 = (
                statistics.median(column) for column in zip(*rows, strict=True)
            )
            print(
                f"{rate:>7}  {name:<20}{publish_us:>9.1f}{receive_us:>9.1f}{server_us:>9.1f}{p50:>8.0f}{p99:>8.0f}"
            )


if __name__ == "__main__":
    main()
