"""`python -m tests.bench.nats.brokers`: CPU and delay of a message through the ZeroMQ broker and through NATS.

One process publishes through the `Bus` of a node at a steady rate, another one receives, both on uvloop. The buses
take turns in every round. CPU is that of the whole process, of the broker or of all servers together; the delay is
from `publish` to the receiver's callback. "C clients" (`floor.c`) shows the least that a NATS server needs for the
same traffic: their publisher writes a burst at once. `reads`, `writes` (calls of the system) and `wakeups` are
those of the servers for each message.
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
from pathlib import Path
from tempfile import TemporaryDirectory

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
from zmqio.protocol.nats_subject import subject_of
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
    floor: Path | None = None


@dataclass(frozen=True, slots=True)
class Use:
    """CPU time and system calls of processes since their start."""

    cpu_s: float
    reads: int
    writes: int
    wakeups: int

    @classmethod
    def of(cls, pids: Sequence[int]) -> "Use":
        processes = [psutil.Process(pid) for pid in pids]
        io = [process.io_counters() for process in processes]
        wakeups = sum(
            int(line.split()[1])
            for pid in pids
            for status in Path(f"/proc/{pid}/task").glob("*/status")
            for line in status.read_text().splitlines()
            if line.startswith("voluntary_ctxt_switches")
        )
        return cls(
            sum(sum(process.cpu_times()[:2]) for process in processes),
            sum(each.read_count for each in io),
            sum(each.write_count for each in io),
            wakeups,
        )

    def since(self, before: "Use", total: int) -> list[float]:
        """CPU in us, reads, writes and wakeups, for each message."""
        return [
            (self.cpu_s - before.cpu_s) / total * 1e6,
            (self.reads - before.reads) / total,
            (self.writes - before.writes) / total,
            (self.wakeups - before.wakeups) / total,
        ]


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
    """One for each column of the table."""
    receive, publish = commands(way, rate, total)
    with subprocess.Popen(receive, stdout=subprocess.PIPE, text=True) as receiver:
        assert receiver.stdout is not None
        lines = iter(receiver.stdout.readline, "")
        next(line for line in lines if line.startswith("ready"))
        before = Use.of(way.pids)
        sent = subprocess.run(publish, stdout=subprocess.PIPE, text=True, check=True)
        result = next(line.split() for line in lines if line[0].isdigit() and len(line.split()) == 4)
        server = Use.of(way.pids).since(before, total)
    count, receive_us, p50_us, p99_us = map(float, result)
    assert count == total, f"{way.name}: {count} of {total} messages"
    return [float(sent.stdout.splitlines()[-1]), receive_us, *server, p50_us, p99_us]


def commands(way: Way, rate: int, total: int) -> tuple[list[str], list[str]]:
    """The commands of the receiver and of the publisher."""
    if way.floor is None:
        own, tail = [sys.executable, "-m", "tests.bench.nats.brokers", "--child"], [str(rate), str(total)]
        return [*own, "receive", way.receiver, *tail], [*own, "publish", way.publisher, *tail]
    port, subject = way.receiver.rpartition(":")[2], subject_of(TOPIC).decode()
    tail = [port, subject, str(len(TOPIC) + BODY_BYTES), str(total)]
    return [str(way.floor), "receive", *tail], [str(way.floor), "publish", *tail, str(rate)]


def compile_floor(folder: Path) -> Path:
    program = folder / "floor"
    source = Path(__file__).with_name("floor.c")
    subprocess.run(["cc", "-O2", "-Wall", str(source), "-o", str(program)], check=True)
    return program


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.nats.brokers")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--rates", type=int, nargs="*", default=[1_000, 15_000])
    parser.add_argument(
        "--ways", nargs="*", default=[""], help="only those whose names contain one of these texts"
    )
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
        floor = compile_floor(Path(stack.enter_context(TemporaryDirectory())))
        pids = [each.pid for each in cluster.servers]
        ways = [
            Way("zmqio broker", broker.address, broker.address, [broker.pid]),
            Way("NATS, one server", server.address, server.address, [server.pid]),
            Way("NATS, C clients", server.address, server.address, [server.pid], floor),
            Way("NATS, two servers", *cluster.addresses, pids),
        ]
        report(options, server, [way for way in ways if any(text in way.name for text in options.ways)])


def report(options: argparse.Namespace, server: NatsServerProcess, ways: Sequence[Way]) -> None:
    info = read_info(server.port) or {}
    print(
        f"Python {sys.version.split()[0]}, NATS {info['version']}, {BODY_BYTES} B; CPU in us/message, delay in us"
    )
    names = ("publish", "receive", "server", "reads", "writes", "wakeups", "p50", "p99")
    print(f"{'rate':>7}  {'bus':<20}" + "".join(f"{name:>9}" for name in names))
    for rate in options.rates:
        found: dict[str, list[list[float]]] = {way.name: [] for way in ways}
        for _ in range(options.rounds):
            for way in ways:
                found[way.name].append(measure(way, rate, int(rate * options.seconds)))
        for name, rows in found.items():
            medians = [statistics.median(column) for column in zip(*rows, strict=True)]
            digits = (1, 1, 1, 2, 2, 2, 0, 0)
            columns = zip(medians, digits, strict=True)
            print(f"{rate:>7}  {name:<20}" + "".join(f"{value:>9.{count}f}" for value, count in columns))


if __name__ == "__main__":
    main()
