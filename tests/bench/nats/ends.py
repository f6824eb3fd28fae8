"""`python -m tests.bench.nats.ends`: CPU per message of zmqio's own protocol end, and of the official client.

A process publishes messages of 100 bytes at a steady rate, another one receives them. Both run on uvloop; the time
is that of the whole process. `nats-py` in the table is the client as its documentation shows it; in `nats-py, no
queue` its private method for received messages is replaced, which saves it the queue of each subscription.
"""

import argparse
import asyncio
import importlib.metadata
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable

import uvloop

import nats
from tests.support.nats_server import NatsServerProcess
from zmqio.links.resolver import HostResolver
from zmqio.nats.addresses import parse_servers
from zmqio.nats.connection import NatsConnection
from zmqio.nats.login import NatsLogin
from zmqio.protocol.nats import PING, publish_command, subscribe_command

BODY = b"x" * 100
ENDS = ("zmqio", "nats-py", "nats-py, no queue")


class Count:
    """Counts messages, and measures the CPU from the first to the last."""

    def __init__(self, total: int) -> None:
        self.left = self.total = total
        self.started_s = 0.0
        self.done: asyncio.Future[float] = asyncio.get_running_loop().create_future()

    def one(self, *_: object) -> None:
        if self.left == self.total:
            self.started_s = time.process_time()
        self.left -= 1
        if self.left == 0:
            self.done.set_result((time.process_time() - self.started_s) / self.total * 1e6)


class OwnEnd:
    """Events of zmqio's connection."""

    def __init__(self, on_message: Callable[..., None]) -> None:
        self.nats_message = on_message
        self.pong = asyncio.Event()

    def nats_pong(self) -> None:
        self.pong.set()

    def nats_info(self, info: object) -> None: ...

    def nats_fault(self, text: str) -> None: ...

    def nats_closed(self, reason: str) -> None: ...


async def pace(send: Callable[[], Awaitable[None] | None], rate: int, total: int) -> None:
    started_s, sent, burst = time.monotonic(), 0, max(1, rate // 500)
    while sent < total:
        for _ in range(burst):
            pending = send()
            if pending is not None:
                await pending
        sent += burst
        await asyncio.sleep(max(0.0, started_s + sent / rate - time.monotonic()))


async def run_own(address: str, role: str, rate: int, total: int) -> float:
    count = Count(total)
    (server,) = parse_servers(address)
    end = OwnEnd(count.one)
    connection = NatsConnection(server, NatsLogin(), "bench", end)
    await connection.open(HostResolver(server.host))
    if role == "receive":
        connection.write(subscribe_command(b"bench", 1) + PING)
        await end.pong.wait()
        print("ready", flush=True)
        return await count.done
    started_s = time.process_time()
    await pace(lambda: connection.write(publish_command(b"bench", BODY)), rate, total)
    connection.write(PING)
    await end.pong.wait()
    return (time.process_time() - started_s) / total * 1e6


async def run_client(address: str, role: str, rate: int, total: int, *, queue: bool) -> float:
    count = Count(total)
    client = await nats.connect(address)
    if role == "receive":

        async def received(*_: object) -> None:
            count.one()

        if not queue:
            client._process_msg = received  # type: ignore[method-assign]  # what the module's text says
        await client.subscribe("bench", cb=received, pending_msgs_limit=10**7, pending_bytes_limit=10**10)
        await client.flush()
        print("ready", flush=True)
        return await count.done
    started_s = time.process_time()
    await pace(lambda: client.publish("bench", BODY), rate, total)
    await client.flush()
    return (time.process_time() - started_s) / total * 1e6


def run_child(address: str, end: str, role: str, rate: int, total: int) -> None:
    work = (
        run_own(address, role, rate, total)
        if end == "zmqio"
        else run_client(address, role, rate, total, queue=end == "nats-py")
    )
    print(uvloop.run(work), flush=True)


def measure(address: str, end: str, rate: int, total: int) -> tuple[float, float]:
    """CPU of the publisher and of the receiver, in microseconds per message."""
    command = [sys.executable, "-m", "tests.bench.nats.ends", "--child", address, end]
    with subprocess.Popen(
        [*command, "receive", str(rate), str(total)], stdout=subprocess.PIPE, text=True
    ) as receiver:
        assert receiver.stdout is not None
        receiver.stdout.readline()
        sent = subprocess.run(
            [*command, "publish", str(rate), str(total)], stdout=subprocess.PIPE, text=True, check=True
        )
        return float(sent.stdout), float(receiver.stdout.readline())


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.nats.ends")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--rates", type=int, nargs="*", default=[5_000, 15_000])
    parser.add_argument("--child", nargs=5, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        address, end, role, rate, total = options.child
        run_child(address, end, role, int(rate), int(total))
        return
    print(f"Python {sys.version.split()[0]}, nats-py {importlib.metadata.version('nats-py')}, 100 B, us/message")
    print(f"{'rate':>7}  {'end':<20}{'publish':>9}{'receive':>9}{'both':>8}")
    with NatsServerProcess() as server:
        for rate in options.rates:
            found: dict[str, list[tuple[float, float]]] = {end: [] for end in ENDS}
            for _ in range(options.rounds):
                for end in ENDS:
                    found[end].append(measure(server.address, end, rate, int(rate * options.seconds)))
            for end, values in found.items():
                publish, receive = (statistics.median(column) for column in zip(*values, strict=True))
                print(f"{rate:>7}  {end:<20}{publish:>9.1f}{receive:>9.1f}{publish + receive:>8.1f}")


if __name__ == "__main__":
    main()
