"""CPU of a broadcast to many clients of another node: at the node that emits, theirs, and one without clients.

python -m tests.bench.cluster_peers.members [--clients 1000] [--messages 100] [--rounds 3] [--peers NAMES]

python-socketio with its Redis manager, the same with zmqio's manager, the same application on `zmqio.compat` (also
with zmqio's classes for uvicorn), and `zmqio.Server`, all in one run and in turns, on stock uvicorn. One client on
the first node sends the commands.
"""

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from tests.bench.cluster_peers.peers import PEERS, SOCKETIO, SOCKETIO_ZMQIO, ZMQIO
from tests.bench.engine.command import turned
from tests.bench.engine.load import Load
from tests.bench.engine.process import ServerProcess
from tests.bench.engine.report import describe_machine
from tests.support.ports import free_port

COMPAT, COMPAT_WS = "zmqio.compat", "zmqio.compat --ws"
NAMES = (SOCKETIO, SOCKETIO_ZMQIO, COMPAT, COMPAT_WS, ZMQIO)
APIS = {COMPAT: "compat", COMPAT_WS: "compat-ws"}
START_S = 3.0
"""Seconds until the nodes know each other."""
SIZE, BATCH, WINDOW, CONCURRENCY = 64, 1, 1, 32
SETTLE_S, IDLE_S = 1.0, 4.0
"""Seconds until all nodes have worked off what was sent; seconds for which the idle nodes are measured."""


class Contestant:
    """Three nodes: one emits, one has the clients, one has none."""

    def __init__(self, nodes: list[ServerProcess], load: Load) -> None:
        self.nodes = nodes
        self.load = load
        self._seconds = 0.0

    def measure(self, messages: int) -> list[float]:
        """CPU microseconds of one broadcast at each node."""
        idle = self._rates(lambda: time.sleep(IDLE_S))
        busy = self._rates(lambda: self.load.run(f"fanout {messages} {SIZE} {BATCH} {WINDOW}"))
        seconds = self._seconds / messages * 1e6
        return [(used - unused) * seconds for used, unused in zip(busy, idle, strict=True)]

    def _rates(self, run: Callable[[], object]) -> list[float]:
        """CPU seconds per second of each node while `run` does."""
        before, begun_at = [node.cpu_s() for node in self.nodes], time.monotonic()
        run()
        time.sleep(SETTLE_S)
        self._seconds = time.monotonic() - begun_at
        return [(node.cpu_s() - cpu_s) / self._seconds for node, cpu_s in zip(self.nodes, before, strict=True)]


@contextmanager
def running(name: str, clients: int) -> Iterator[Contestant]:
    """The nodes of a contestant at a hub of their own, and the load, connected and warm."""
    peer = next(peer for peer in PEERS if peer.name == (SOCKETIO_ZMQIO if name in APIS else name))
    with ExitStack() as stack:
        hub = stack.enter_context(peer.hub())
        nodes = []
        for _ in range(3):
            port = free_port()
            nodes.append(
                stack.enter_context(ServerProcess(_command(name, port, hub.address), port, peer.environment()))
            )
        time.sleep(START_S)
        load = stack.enter_context(Load(nodes[0].port))
        load.run("connect websocket 1 1")
        load.run(f"port {nodes[1].port}")
        load.run(f"connect websocket {clients} {CONCURRENCY}")
        load.run(f"fanout 20 {SIZE} {BATCH} {WINDOW}")
        yield Contestant(nodes, load)


def _command(name: str, port: int, address: str) -> list[str]:
    if name == ZMQIO:
        return [sys.executable, "-m", "tests.bench.engine.app_zmqio", str(port), "plain", address]
    api = APIS.get(name, "socketio")
    return [sys.executable, "-m", "tests.bench.cluster_peers.app_members", str(port), address, api]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=1_000)
    parser.add_argument("--messages", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers", type=lambda text: text.split(","), default=list(NAMES))
    arguments = parser.parse_args()
    found: dict[str, list[list[float]]] = {name: [] for name in arguments.peers}
    with ExitStack() as stack:
        contestants = {name: stack.enter_context(running(name, arguments.clients)) for name in arguments.peers}
        for round_ in range(arguments.rounds):
            for name in turned(arguments.peers, round_):
                found[name].append(contestants[name].measure(arguments.messages))
    print(f"machine:  {describe_machine()}\nload:     {os.getloadavg()[0]:.1f}")
    print(f"command:  python -m tests.bench.cluster_peers.members {' '.join(sys.argv[1:])}\n")
    print("CPU us per broadcast, median [min - max]")
    print(f"{'':<24}{'emits':<26}{arguments.clients} clients{'':<14}no client")
    for name, rounds in found.items():
        print(f"{name:<24}" + "".join(_cell(list(values)) for values in zip(*rounds, strict=True)))


def _cell(values: list[float]) -> str:
    return f"{statistics.median(values):8.0f} [{min(values):.0f} - {max(values):.0f}]".ljust(26)


if __name__ == "__main__":
    main()
