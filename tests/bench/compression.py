"""Measure `websocket_compression`: CPU and bytes per delivery of a broadcast, on and off, alternating in one run.

    python -m tests.bench.compression [--clients 200] [--messages 300] [--rounds 3]

A node in a process of its own broadcasts JSON of about 1.2 KB to WebSocket clients in this process, which count
bytes and decode nothing. The CPU is that of the node, from the kernel's scheduler.
"""

import argparse
import asyncio
import random
import statistics
from dataclasses import dataclass
from pathlib import Path
from string import ascii_uppercase

from tests.bench.engine.report import describe_machine
from tests.support.cluster import NodeProcess
from tests.support.node_config import NodeConfig
from tests.support.py_clients import PyClient
from tests.support.websocket_frames import ENGINE_PATH, OPENING

OFFER = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
QUIET_S = 0.5
"""A run has ended when no client has received anything for so long."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Of one round: microseconds of the node's CPU, and bytes, per delivery."""

    cpu_us: float
    size_bytes: float


class Sink(asyncio.Protocol):
    """A client that enters the namespace `/` and counts what it receives."""

    received = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(OPENING.format(path=ENGINE_PATH, headers=OFFER).encode() + _masked(b"40"))
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.received += len(data)


def items(seed: int) -> list[dict[str, object]]:
    """Twelve trades, of which no two are equal."""
    source = random.Random(seed)
    return [
        {
            "symbol": "".join(source.choices(ascii_uppercase, k=4)),
            "price": round(source.uniform(1, 1_000), 2),
            "volume": source.randrange(100_000),
            "side": source.choice(["buy", "sell"]),
            "at": f"2026-11-30T12:{source.randrange(60):02}:{source.randrange(60):02}Z",
        }
        for _ in range(12)
    ]


def _masked(data: bytes) -> bytes:
    return bytes((0x81, 0x80 | len(data))) + bytes(4) + data


def cpu_us(pid: int) -> float:
    """CPU time of all threads of a process."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1_000


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--messages", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    print(describe_machine())
    samples: dict[bool, list[Sample]] = {False: [], True: []}
    for _ in range(options.rounds):
        for compressed, found in samples.items():
            found.append(await measure(options, compressed=compressed))
    print(f"{options.clients} clients, {options.messages} broadcasts, medians of {options.rounds} rounds")
    for compressed, found in samples.items():
        cpu, size = (statistics.median(getattr(each, name) for each in found) for name in Sample.__slots__)
        print(f"compression {'on ' if compressed else 'off'}  {cpu:7.2f} us and {size:7.0f} bytes a delivery")


async def measure(options: argparse.Namespace, *, compressed: bool) -> Sample:
    """Run one node, and broadcast to clients of it."""
    loop = asyncio.get_running_loop()
    async with NodeProcess(NodeConfig("node", options={"websocket_compression": compressed})) as node:
        sinks = [(await loop.create_connection(Sink, "127.0.0.1", node.port))[1] for _ in range(options.clients)]
        sender = PyClient(node.url, "polling")
        await sender.connect()
        await settled(sinks)
        before_us, before_bytes = cpu_us(node.pid), sum(sink.received for sink in sinks)
        for number in range(options.messages):
            await sender.call("say_all", "news", number, items(number))
        await settled(sinks)
        deliveries = options.messages * options.clients
        sample = Sample(
            (cpu_us(node.pid) - before_us) / deliveries,
            (sum(sink.received for sink in sinks) - before_bytes) / deliveries,
        )
        await sender.end()
        for sink in sinks:
            sink.transport.abort()
        return sample


async def settled(sinks: list[Sink]) -> None:
    """Wait until nothing has arrived for a while."""
    before, now = -1, 0
    while before != now:
        await asyncio.sleep(QUIET_S)  # a quiet period is what is waited for
        before, now = now, sum(sink.received for sink in sinks)


if __name__ == "__main__":
    asyncio.run(main())
