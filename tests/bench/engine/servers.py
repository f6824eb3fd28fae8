"""The compared servers, and the commands that start them."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version

from tests.bench.engine.build import compiled
from tests.bench.engine.process import ServerProcess
from tests.support.npm import node_modules
from tests.support.ports import free_port

__all__ = ["FLOOR", "NODE", "PLAIN", "SERVERS", "SOCKETIO", "ZMQIO", "Kind", "versions"]

FLOOR, NODE, SOCKETIO, ZMQIO, PLAIN = "floor", "node", "python-socketio", "zmqio", "zmqio plain"


@dataclass(frozen=True, slots=True)
class Kind:
    """One server under test.

    Attributes:
        name: as in the report.
        command: the command, without the port.
        after_port: arguments after the port.
        environment: returns the variables in addition to those of this process.
        weight: its approximate number of broadcasts while python-socketio makes one; sizes the measured work.
        speaks: the scenarios that it supports.
    """

    name: str
    command: Callable[[], list[str]]
    weight: int
    speaks: frozenset[str]
    after_port: tuple[str, ...] = ()
    environment: Callable[[], Mapping[str, str]] = field(default=dict)

    def start(self) -> ServerProcess:
        """A process of this server, for a `with` block."""
        port = free_port()
        return ServerProcess([*self.command(), str(port), *self.after_port], port, self.environment())


def _python(module: str) -> Callable[[], list[str]]:
    return lambda: [sys.executable, "-m", f"tests.bench.engine.{module}"]


def _node_environment() -> dict[str, str]:
    return {"NODE_PATH": str(node_modules("socket.io")), "NODE_ENV": "production"}


WEBSOCKET = frozenset({"fanout", "connect", "roundtrip", "paced"})
ALL = WEBSOCKET | {"polling", "idle", "start"}
SERVERS = (
    Kind(FLOOR, lambda: [str(compiled("floor"))], 8, WEBSOCKET),
    Kind(
        NODE,
        lambda: ["node", "--expose-gc", "tests/bench/engine/node_server.cjs"],
        5,
        ALL,
        environment=_node_environment,
    ),
    Kind(SOCKETIO, _python("app_socketio"), 1, ALL),
    Kind(ZMQIO, _python("app_zmqio"), 8, ALL | {"loop_hold"}, after_port=("fast",)),
    Kind(PLAIN, _python("app_zmqio"), 5, ALL, after_port=("plain",)),
)


def versions() -> str:
    """The versions of the servers, in one line."""
    if shutil.which("node") is None:
        raise SystemExit("the benchmark needs node")
    packages = [f"{name} {version(name)}" for name in ("uvicorn", "uvloop", "python-socketio", "python-engineio")]
    node = subprocess.run(["node", "--version"], capture_output=True, text=True, timeout=20, check=True)
    text = (node_modules("socket.io") / "socket.io" / "package.json").read_text()
    socketio = text.split('"version": "')[1].split('"')[0]
    python = sys.version.split()[0]
    return ", ".join([f"Python {python}", *packages, f"Node {node.stdout.strip()}", f"socket.io {socketio}"])
