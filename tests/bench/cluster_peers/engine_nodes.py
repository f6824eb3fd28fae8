"""Two nodes of the engine benchmark at one hub, with its load generator, which has many clients at little cost."""

import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from tests.bench.cluster_peers.peers import NODE, NPM, PEERS, ZMQIO
from tests.bench.cluster_peers.processes import cpu_s
from tests.bench.engine.load import Load
from tests.bench.engine.process import ServerProcess
from tests.support.npm import node_modules, require_node
from tests.support.ports import free_port

__all__ = ["CONCURRENCY", "NAMES", "Pair", "running"]

NAMES = (ZMQIO, NODE)
CONCURRENCY = 32
READY_LIMIT_S = 30.0


@dataclass(frozen=True, slots=True)
class Pair:
    """Nodes A and B.

    Attributes:
        nodes: their processes.
        load: its first client, which sends the commands, is on A; further ones connect to B.
        hub_pid: of the broker or Redis.
    """

    nodes: tuple[ServerProcess, ServerProcess]
    load: Load
    hub_pid: int

    def cpu_s(self) -> tuple[float, float]:
        """CPU seconds of both nodes together, and of the hub."""
        return sum(node.cpu_s() for node in self.nodes), cpu_s(self.hub_pid)


@contextmanager
def running(name: str) -> Iterator[Pair]:
    """Run the nodes of one of `NAMES` at a hub of their own."""
    with ExitStack() as stack:
        hub = stack.enter_context(next(peer for peer in PEERS if peer.name == name).hub())
        nodes = (
            stack.enter_context(_node(name, hub.address)),
            stack.enter_context(_node(name, hub.address)),
        )
        if name == ZMQIO:
            for node in nodes:
                _wait_until_ready(node.port)
        load = stack.enter_context(Load(nodes[0].port))
        load.run("connect websocket 1 1")
        load.run(f"port {nodes[1].port}")
        yield Pair(nodes, load, hub.pid)


def _node(name: str, address: str) -> ServerProcess:
    port = free_port()
    if name == ZMQIO:
        command = [sys.executable, "-m", "tests.bench.engine.app_zmqio", str(port), "fast", address]
        return ServerProcess(command, port, {})
    command = [require_node(), "--expose-gc", "tests/bench/engine/node_server.cjs", str(port), address]
    return ServerProcess(command, port, {"NODE_PATH": str(node_modules(*NPM)), "NODE_ENV": "production"})


def _wait_until_ready(port: int) -> None:
    ends_at = time.monotonic() + READY_LIMIT_S
    while True:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5).close()
        except OSError:  # also 503
            if time.monotonic() > ends_at:
                raise
            time.sleep(0.1)
        else:
            return
