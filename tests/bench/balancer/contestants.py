"""The balancers to compare, each with equally many workers of the same kind, all on one core.

`direct` has no balancer: clients connect to one worker. nginx runs as a plain proxy in one process without a
master, once with Debian's defaults (a new connection to the worker for each request) and once with keep-alive
connections.
"""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from tests.bench.engine.process import ServerProcess
from tests.support.ports import free_port, free_port_block
from tests.support.tools import require

__all__ = ["CONTESTANTS", "ZMQIO", "Contestant", "running"]

DIRECT, ZMQIO, NGINX, NGINX_KEPT = "direct", "zmqio serve", "nginx", "nginx keepalive"
ACCEPTOR, WORKER = "zmqio.launcher.accept.acceptor", "zmqio.launcher.worker.main"
CONTESTANTS = (DIRECT, ZMQIO, NGINX, NGINX_KEPT)

NGINX_CONF = """
daemon off;
master_process off;
pid {folder}/pid;
error_log stderr warn;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    upstream nodes {{ {servers} {keepalive} }}
    server {{
        listen 127.0.0.1:{port} backlog=2048;
        location / {{
            proxy_pass http://nodes;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        }}
    }}
}}
"""


@dataclass(frozen=True, slots=True)
class Contestant:
    """A running balancer with its workers.

    Attributes:
        name: its name in the report.
        server: the process that clients connect to.
        backends: the worker processes, if this process has started them.
    """

    name: str
    server: ServerProcess
    backends: tuple[ServerProcess, ...] = ()

    def balancer_cpu_s(self) -> float:
        """CPU time so far of the process that clients connect to and of the acceptors of `zmqio serve`."""
        return self.server.cpu_s() + sum(map(_cpu_s, self._children(ACCEPTOR)))

    def workers_cpu_s(self) -> float:
        """CPU time so far of the workers."""
        return sum(backend.cpu_s() for backend in self.backends) + sum(map(_cpu_s, self._children(WORKER)))

    def _children(self, module: str) -> list[int]:
        if self.name != ZMQIO:
            return []
        return [child.pid for child in psutil.Process(self.server.pid).children() if module in child.cmdline()]


@contextmanager
def running(name: str, workers: int, acceptors: str) -> Iterator[Contestant]:
    """Run one of `CONTESTANTS`; `acceptors` is the option of `zmqio serve`."""
    with ExitStack() as stack:
        if name == ZMQIO:
            yield Contestant(name, stack.enter_context(_zmqio(workers, acceptors)))
            return
        backends = tuple(stack.enter_context(_backend()) for _ in range(1 if name == DIRECT else workers))
        if name == DIRECT:
            yield Contestant(name, backends[0])
            return
        folder = stack.enter_context(TemporaryDirectory(prefix="zmqio-bench-"))
        server = stack.enter_context(_nginx(Path(folder), backends, keep_alive=name == NGINX_KEPT))
        yield Contestant(name, server, backends)


def _zmqio(workers: int, acceptors: str) -> ServerProcess:
    port, no_broker = free_port(), free_port_block(4)  # the app needs none
    command = [sys.executable, "-m", "zmqio", "serve", "tests.bench.balancer.app:app", "--workers", str(workers)]
    command += ["--acceptors", acceptors]
    command += ["--bind", f"127.0.0.1:{port}", "--broker", f"tcp://127.0.0.1:{no_broker}", "--log-level", "error"]
    return ServerProcess(command, port, {})


def _backend() -> ServerProcess:
    port = free_port()
    return ServerProcess([sys.executable, "-m", "tests.bench.balancer.app", str(port)], port, {})


def _nginx(folder: Path, backends: Sequence[ServerProcess], *, keep_alive: bool) -> ServerProcess:
    port = free_port()
    servers = " ".join(f"server 127.0.0.1:{backend.port};" for backend in backends)
    configuration = folder / "nginx.conf"
    configuration.write_text(
        NGINX_CONF.format(
            folder=folder, port=port, servers=servers, keepalive="keepalive 32;" if keep_alive else ""
        )
    )
    return ServerProcess([require("nginx"), "-c", str(configuration), "-p", str(folder)], port, {})


def _cpu_s(pid: int) -> float:
    """Source: clock_getcpuclockid(3)."""
    return time.clock_gettime((~pid << 3) | 2)
