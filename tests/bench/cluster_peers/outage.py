"""Messages that are lost when the hub dies: nodes of python-socketio with Redis and with zmqio, and zmqio.compat.

python -m tests.bench.cluster_peers.outage [--seconds 0.3,5,20] [--rate 800] [--peers NAMES]

Two nodes emit `rate` messages per second in all to a room with one client on each. Broker or Redis is killed with
SIGKILL after 2 seconds, started again after the outage, and the nodes emit for 3 more seconds. Each client counts
what is missing, what comes twice, and what comes after a later message of the same node.
"""

import argparse
import asyncio
import shutil
import sys
from contextlib import AsyncExitStack
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import socketio

from tests.bench.cluster_peers.members import COMPAT
from tests.bench.cluster_peers.peers import SOCKETIO, SOCKETIO_ZMQIO, redis_py_environment
from tests.bench.cluster_peers.processes import Child
from tests.bench.engine.report import describe_machine
from tests.support.broker import BrokerProcess
from tests.support.ports import free_port

NAMES = (SOCKETIO, SOCKETIO_ZMQIO, COMPAT)
BEFORE_S, AFTER_S, SETTLE_S = 2.0, 3.0, 10.0
"""Seconds of load before and after the outage; seconds without a message that end a run."""
STEP = 10_000_000
"""Numbers of node n begin at n * STEP."""


class RedisHub:
    """Redis on a fixed port, which can be killed and started again."""

    def __init__(self) -> None:
        self._port = free_port()
        self.address = f"redis://127.0.0.1:{self._port}"
        self._child: Child | None = None

    def start(self) -> None:
        """Start it."""
        program = shutil.which("redis-server")
        assert program is not None, "the benchmark needs redis-server"
        command = [program, "--bind", "127.0.0.1", "--port", str(self._port), "--save", "", "--appendonly", "no"]
        self._child = Child(command, self._port, {})
        self._child.wait_until_it_listens()

    def kill(self) -> None:
        """SIGKILL."""
        assert self._child is not None
        self._child.__exit__(None, None, None)


@dataclass(frozen=True, slots=True)
class Finding:
    """Counts of both clients together."""

    expected: int
    lost: int
    twice: int
    overtaken: int


async def measure(name: str, outage_s: float, rate: int) -> Finding:
    """One run."""
    hub: Any = RedisHub() if name == SOCKETIO else BrokerProcess()
    await asyncio.to_thread(hub.start)
    async with AsyncExitStack() as stack:
        stack.callback(hub.kill)
        environment = redis_py_environment() if name == SOCKETIO else {}
        ports = [free_port() for _ in range(2)]
        for port in ports:
            api = "compat" if name == COMPAT else "socketio"
            module = "tests.bench.cluster_peers.app_members"
            command = [sys.executable, "-m", module, str(port), hub.address, api]
            node = stack.enter_context(Child(command, port, environment))
            await asyncio.to_thread(node.wait_until_it_listens)
        received: list[list[int]] = [[], []]
        clients = [await _client(stack, port, numbers) for port, numbers in zip(ports, received, strict=True)]
        await asyncio.sleep(AFTER_S)  # the nodes learn of each other
        count = int((BEFORE_S + outage_s + AFTER_S) * rate / 2)
        for number, client in enumerate(clients):
            await client.emit("numbers", (number * STEP, count, rate // 2))
        await asyncio.sleep(BEFORE_S)
        await asyncio.to_thread(hub.kill)
        await asyncio.sleep(outage_s)
        await asyncio.to_thread(hub.start)
        await _wait_until_quiet(received, 2 * count)
        return _compare(received, count)


async def _client(stack: AsyncExitStack, port: int, numbers: list[int]) -> Any:
    client = socketio.AsyncClient(reconnection=False)
    client.on("number", numbers.append)
    await client.connect(f"http://127.0.0.1:{port}", transports=["websocket"])
    stack.push_async_callback(client.disconnect)
    return client


async def _wait_until_quiet(received: list[list[int]], complete: int) -> None:
    seen, quiet_s = 0, 0.0
    while quiet_s < SETTLE_S and not all(len(set(numbers)) >= complete for numbers in received):
        await asyncio.sleep(0.5)
        total = sum(map(len, received))
        quiet_s = 0.0 if total > seen else quiet_s + 0.5
        seen = total


def _compare(received: list[list[int]], count: int) -> Finding:
    lost = twice = overtaken = 0
    for numbers in received:
        for node in range(2):
            own = [number for number in numbers if number // STEP == node]
            lost += count - len(set(own))
            twice += len(own) - len(set(own))
            overtaken += sum(a > b for a, b in pairwise(own))
    return Finding(4 * count, lost, twice, overtaken)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--seconds", type=lambda text: [float(each) for each in text.split(",")], default=[0.3, 5, 20]
    )
    parser.add_argument("--rate", type=int, default=800)
    parser.add_argument("--peers", type=lambda text: text.split(","), default=list(NAMES))
    arguments = parser.parse_args()
    print(f"machine:  {describe_machine()}")
    print(f"command:  python -m tests.bench.cluster_peers.outage {' '.join(sys.argv[1:])}\n")
    print(f"{'':<24}{'outage':>8}{'expected':>10}{'lost':>8}{'twice':>8}{'overtaken':>11}")
    for outage_s in arguments.seconds:
        for name in arguments.peers:
            found = asyncio.run(measure(name, outage_s, arguments.rate))
            row = f"{outage_s:>6g} s{found.expected:>10}{found.lost:>8}{found.twice:>8}{found.overtaken:>11}"
            print(f"{name:<24}{row}", flush=True)


if __name__ == "__main__":
    main()
