"""The contestants: the command that starts a node of each, and the hub of its nodes."""

import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import version
from json import loads
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.bench.cluster_peers.processes import ROOT, Child, redis_server
from tests.support.broker import BrokerProcess
from tests.support.npm import node_modules, require_node
from tests.support.ports import free_port

__all__ = [
    "ASYNCIO",
    "IPC",
    "NODE",
    "PEERS",
    "PLAIN",
    "SHARDED",
    "SOCKETIO",
    "SOCKETIO_ZMQIO",
    "ZMQIO",
    "Hub",
    "Peer",
    "redis_py_environment",
    "versions",
]

ZMQIO, IPC, ASYNCIO, PLAIN = "zmqio", "zmqio ipc", "zmqio asyncio", "zmqio plain"
SOCKETIO, NODE, SHARDED = "python-socketio+Redis", "Node redis-adapter", "Node sharded"
SOCKETIO_ZMQIO = "python-socketio+zmqio"

NPM = ("socket.io", "@socket.io/redis-adapter", "redis")
REDIS_PY = ROOT / ".tools" / "bench" / "redis-py"
INSTALL_LIMIT_S = 300


@dataclass(frozen=True, slots=True)
class Hub:
    """A running hub: the broker or Redis.

    Attributes:
        address: for the nodes.
        pid: of its process.
    """

    address: str
    pid: int


@dataclass(frozen=True, slots=True)
class Peer:
    """One contestant.

    Attributes:
        name: as in the report.
        command: the command, without port and address.
        arguments: behind port and address.
        environment: returns the variables in addition to those of this process.
        uses_broker: its hub is the zmqio broker, not Redis.
        ipc: connects by unix sockets, as `zmqio serve` does without a named broker.
        scenarios: the names of those that it takes part in.
    """

    name: str
    command: Callable[[], list[str]]
    scenarios: frozenset[str]
    arguments: tuple[str, ...] = ()
    environment: Callable[[], Mapping[str, str]] = field(default=dict)
    uses_broker: bool = False
    ipc: bool = False

    def start_node(self, hub: Hub) -> Child:
        """A node process, to be used in a `with`."""
        port = free_port()
        return Child([*self.command(), str(port), hub.address, *self.arguments], port, self.environment())

    @contextmanager
    def hub(self) -> Iterator[Hub]:
        """Run a hub for the nodes of this contestant alone."""
        if self.uses_broker:
            address = "ipc://{}/bus" if self.ipc else ""
            with TemporaryDirectory() as folder, BrokerProcess(address=address.format(folder)) as broker:
                yield Hub(broker.address, broker.pid)
            return
        with redis_server() as redis:
            redis.wait_until_it_listens()
            yield Hub(f"redis://127.0.0.1:{redis.port}", redis.pid)


def _python(module: str) -> Callable[[], list[str]]:
    return lambda: [sys.executable, "-m", f"tests.bench.cluster_peers.{module}"]


def _node() -> list[str]:
    return [require_node(), "tests/bench/cluster_peers/node_server.cjs"]


def _node_environment() -> dict[str, str]:
    return {"NODE_PATH": str(node_modules(*NPM)), "NODE_ENV": "production"}


@cache
def _redis_py() -> Path:
    """A folder with redis-py and its C parser (the faster of its two), for python-socketio alone."""
    if not (REDIS_PY / "redis").exists() or not (REDIS_PY / "hiredis").exists():
        print(f"installing redis and hiredis from the package index into {REDIS_PY.relative_to(ROOT)}", flush=True)
        command = [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--target",
            str(REDIS_PY),
            "redis",
            "hiredis",
        ]
        subprocess.run(command, timeout=INSTALL_LIMIT_S, check=True)
    return REDIS_PY


def redis_py_environment() -> dict[str, str]:
    return {"PYTHONPATH": str(_redis_py())}


BOTH, LATENCY, ISOLATION = frozenset({"isolation", "latency"}), frozenset({"latency"}), frozenset({"isolation"})
PEERS = (
    Peer(ZMQIO, _python("app_zmqio"), BOTH, ("fast",), uses_broker=True),
    Peer(IPC, _python("app_zmqio"), LATENCY, ("fast",), uses_broker=True, ipc=True),
    Peer(ASYNCIO, _python("app_zmqio"), LATENCY, ("asyncio",), uses_broker=True),
    Peer(PLAIN, _python("app_zmqio"), LATENCY, ("plain",), uses_broker=True),
    Peer(SOCKETIO, _python("app_socketio"), BOTH, environment=redis_py_environment),
    Peer(SOCKETIO_ZMQIO, _python("app_socketio"), BOTH, uses_broker=True),
    Peer(NODE, _node, BOTH, environment=_node_environment),
    Peer(SHARDED, _node, ISOLATION, ("sharded",), environment=_node_environment),
)


def versions() -> str:
    """The versions of the contestants, in one line."""
    python = [f"{name} {version(name)}" for name in ("pyzmq", "uvicorn", "uvloop", "python-socketio")]
    redis_py = [path.name.rpartition(".")[0].replace("-", " ") for path in _redis_py().glob("*redis-*.dist-info")]
    modules = node_modules(*NPM)
    npm = [f"{name} {loads((modules / name / 'package.json').read_text())['version']}" for name in NPM]
    programs = [_output(require_node(), "--version"), _output("redis-server", "--version").split(" sha=")[0]]
    names = [
        f"Python {sys.version.split()[0]}",
        *python,
        *sorted(redis_py),
        f"Node {programs[0]}",
        *npm,
        programs[1],
    ]
    return ", ".join(names)


def _output(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout.strip()
