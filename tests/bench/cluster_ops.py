"""Measure operations on thousands of sockets: their duration, and how long they block each node's event loop.

Run it with `python -m tests.bench.cluster_ops`. Four node processes share a real broker. The sockets are real,
with a handshake of about 1 kB, but their connections are simulated and discard what is written. A hold is one turn
of the event loop, from the return of `select` to its next call, in CPU time of the thread, so that other processes
on the machine do not count.
"""

import argparse
import asyncio
import json
import os
import platform
import secrets
import selectors
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import zmq

from tests.bench.engine.report import describe_machine
from tests.support.broker import BrokerProcess
from tests.support.cluster import process_environment
from zmqio.engine.direct_write import DirectWriter
from zmqio.server.handshake import Handshake
from zmqio.server.server import Server
from zmqio.zeromq.adapter import ZmqAdapter

ROOT = Path(__file__).parents[2]
NODES = 4
ROOMS = ["first", "second"]
TIMEOUT_S = 30.0
HANDSHAKE = Handshake(
    headers={f"x-header-{number}": "value " * 8 for number in range(16)},
    query={"EIO": "4", "transport": "websocket"},
    auth={"token": "t" * 64},
    address="192.0.2.1",
    secure=True,
    time=0.0,
    url="/socket.io/?EIO=4&transport=websocket",
)


class TurnTimer(selectors.DefaultSelector):  # type: ignore[misc,valid-type]
    """Records the longest turn of its event loop, in milliseconds of CPU."""

    longest_ms = 0.0
    _began: float | None = None

    def select(self, timeout: float | None = None) -> Any:
        """Select as usual. The CPU time since the last return was one turn."""
        if self._began is not None:
            self.longest_ms = max(self.longest_ms, (time.thread_time() - self._began) * 1e3)
        ready = super().select(timeout)
        self._began = time.thread_time()
        return ready

    def take(self) -> float:
        """Return the longest turn since the last call."""
        longest, self.longest_ms = self.longest_ms, 0.0
        return longest


class SimulatedConnection:
    """A connection that discards everything."""

    transport_name = "websocket"

    def __init__(self) -> None:
        self.direct_writer = DirectWriter(self.write)

    def write(self, payload: Any, /, *, volatile: bool = False) -> None:
        """Discard a packet."""

    def remove_socket(self, socket: Any) -> None:
        """Do nothing."""

    def disconnect_all(self) -> None:
        """Do nothing."""


class BenchNode:
    """One node process: executes lines of JSON from stdin and prints the results to stdout."""

    def __init__(self, address: str, prefix: str, timer: TurnTimer) -> None:
        self._io = Server(ZmqAdapter(address, prefix=prefix))
        self._timer = timer

    async def run(self) -> None:
        """Execute commands until stdin ends."""
        async with self._io:
            while line := await asyncio.to_thread(sys.stdin.readline):
                command = json.loads(line)
                result = await getattr(self, command.pop("op"))(**command)
                print(json.dumps(result), flush=True)

    async def connect(self, sockets: int, nodes: int) -> int:
        """Connect simulated clients, and wait for the other nodes."""
        for _ in range(sockets):
            await self._io.of("/").connect(SimulatedConnection(), HANDSHAKE, lambda _socket: True)
        while self._io.server_count() < nodes:  # noqa: ASYNC110 - set up, not measured
            await asyncio.sleep(0.01)
        return len(self._io.of("/").sockets)

    async def hold(self) -> float:
        """Return the longest turn since the last call, in milliseconds."""
        return self._timer.take()

    async def members(self, room: str) -> int:
        """Return the number of members of a room in this process."""
        return len(await self._io.to(room).local.fetch_sockets())

    async def sockets_join(self, local: bool) -> float:
        """Add all sockets to two rooms."""
        return await _timed(self._all(local).sockets_join(*ROOMS))

    async def sockets_leave(self, local: bool) -> float:
        """Remove all sockets from the two rooms."""
        return await _timed(self._all(local).sockets_leave(*ROOMS))

    async def emit(self, local: bool) -> float:
        """Emit to all sockets."""
        return await _timed(self._all(local).emit("news", 1))

    async def fetch_sockets(self, local: bool) -> float:
        """Fetch all sockets."""
        return await _timed(self._all(local).timeout(TIMEOUT_S).fetch_sockets())

    async def rooms(self, local: bool) -> float:
        """Fetch the names of all rooms of the cluster."""
        return await _timed(self._io.rooms())

    async def disconnect_sockets(self, local: bool) -> float:
        """Disconnect all sockets."""
        return await _timed(self._all(local).disconnect_sockets())

    def _all(self, local: bool) -> Any:
        return self._io.broadcast().local if local else self._io.broadcast()


async def _timed(work: Any) -> float:
    began = time.perf_counter()
    await work
    return (time.perf_counter() - began) * 1e3


class NodeHandle:
    """A node process, controlled by the measuring process."""

    def __init__(self, address: str, prefix: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.cluster_ops", "--node", address, prefix],
            cwd=ROOT,
            env=process_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def send(self, op: str, **command: Any) -> None:
        """Send a command."""
        assert self.process.stdin is not None
        print(json.dumps({"op": op, **command}), file=self.process.stdin, flush=True)

    def result(self) -> Any:
        """Read the result of the oldest command; lines of the log are skipped."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            try:
                return json.loads(line)
            except ValueError:
                continue
        raise RuntimeError("a node process has ended")

    def do(self, op: str, **command: Any) -> Any:
        """Send a command and read its result."""
        self.send(op, **command)
        return self.result()


@contextmanager
def running(sockets: int) -> Iterator[list[NodeHandle]]:
    """Run four nodes with `sockets` sockets each."""
    with ExitStack() as stack:
        broker = stack.enter_context(BrokerProcess())
        prefix = f"bench-{secrets.token_hex(4)}"
        nodes = [NodeHandle(broker.address, prefix) for _ in range(NODES)]
        for node in nodes:
            stack.callback(node.process.wait, 20)
            stack.callback(node.process.stdin.close)  # type: ignore[union-attr]
            node.send("connect", sockets=sockets, nodes=NODES)
        assert [node.result() for node in nodes] == [sockets] * NODES
        yield nodes


def measure(nodes: list[NodeHandle], op: str, *, local: bool, runs: int) -> str:
    """Run one operation on the first node and return a row of the table."""
    times, here, there = [], [], []
    for _ in range(runs):
        _reset_holds(nodes)
        times.append(nodes[0].do(op, local=local))
        if not local:
            time.sleep(
                0.3
            )  # other nodes do not report the end of their work; their longest turn is read afterwards
        holds = [node.do("hold") for node in nodes]
        here.append(holds[0])
        there.append(max(holds[1:]))
        if op == "sockets_join":
            nodes[0].do("sockets_leave", local=local)
        elif op == "sockets_leave":
            nodes[0].do("sockets_join", local=local)
    others = "" if local else f"{max(there):>12.1f}"
    return f"{statistics.median(times):>12.1f}{max(times):>12.1f}{max(here):>12.1f}{others}"


def _reset_holds(nodes: list[NodeHandle]) -> None:
    time.sleep(0.2)
    for node in nodes:
        node.do("hold")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    print(f"machine:  {describe_machine()}")
    print(f"versions: Python {platform.python_version()}, pyzmq {zmq.__version__}, libzmq {zmq.zmq_version()}")
    print(f"command:  python -m tests.bench.cluster_ops --runs {options.runs}   load {os.getloadavg()[0]:.1f}")
    print(f"\n{'ms':<44}{'median':>12}{'longest':>12}{'hold here':>12}{'hold there':>12}")
    for sockets in (2_500, 10_000):
        with running(sockets) as nodes:
            for op in ("sockets_join", "sockets_leave", "emit", "fetch_sockets"):
                print(f"{f'{op}, {sockets} here':<44}{measure(nodes, op, local=True, runs=options.runs)}")
            for op in ("sockets_join", "sockets_leave", "emit", "rooms", "fetch_sockets"):
                print(f"{f'{op}, {sockets} on each of 4':<44}{measure(nodes, op, local=False, runs=options.runs)}")
            op = "disconnect_sockets"
            print(f"{f'{op}, {sockets} on each of 4':<44}{measure(nodes, op, local=False, runs=1)}")


def run_node(address: str, prefix: str) -> None:
    """The node process."""
    timer = TurnTimer()
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(timer)) as runner:
        runner.run(BenchNode(address, prefix, timer).run())


if __name__ == "__main__":
    if sys.argv[1:2] == ["--node"]:
        run_node(*sys.argv[2:4])
    else:
        main()
