"""nginx and HAProxy for tests: real processes on a free loopback port, with a configuration that zmqio wrote.

Both log each request of a session, which the written configurations do not.
"""

import asyncio
import contextlib
import re
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType

from tests.support.ports import free_port
from tests.support.timing import LIMIT_S
from tests.support.tools import require
from zmqio.recipes.balancing import Balancing
from zmqio.recipes.haproxy import haproxy_conf
from zmqio.recipes.nginx import nginx_conf

__all__ = ["Balancer", "Product", "ProxiedRequest", "check_haproxy", "check_nginx", "haproxy", "nginx"]

LOOPBACK = "127.0.0.1"
LOOK_AGAIN_S = 0.02

NGINX_FORMAT = 'log_format traced "traced $status $upstream_addr $request_method $request_uri";'
HAPROXY_FORMAT = 'log-format "traced %ST %si:%sp %HM %HU %ts"'
FAILED = ("101", "502", "504")
_TRACED = re.compile(r"^traced (\d+) (.+) ([A-Z]+) /\S*[?&]sid=([^&\s]+)\S*(?: (\S\S))?$", re.MULTILINE)
_PORT = re.compile(r":(\d+)")


@dataclass(frozen=True, slots=True)
class ProxiedRequest:
    """A request that has ended at the balancer, also a WebSocket.

    Attributes:
        sid: its session.
        method: GET or POST.
        ports: of the nodes that it was sent to, in order.
        failed: whether it ended with the connection to a node. True for every WebSocket.
    """

    sid: str
    method: str
    ports: tuple[int, ...]
    failed: bool


class Balancer:
    """A balancer process; used as `async with`, in which it accepts connections.

    Args:
        balancing: its settings; `listen` is replaced by a free port.
        prepare: writes its files into a folder of its own and gives the command that runs it in the foreground.
    """

    def __init__(self, balancing: Balancing, prepare: Callable[[Balancing, Path], Sequence[str]]) -> None:
        self.port = free_port()
        self._balancing = replace(balancing, listen=f"{LOOPBACK}:{self.port}")
        self._prepare = prepare
        self._folder = tempfile.TemporaryDirectory(prefix="zmqio-balancer-", ignore_cleanup_errors=True)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The URL for clients."""
        return f"http://{LOOPBACK}:{self.port}"

    async def __aenter__(self) -> "Balancer":
        self._process = self._spawn()
        try:
            await self._wait_until_it_listens(self._process)
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        process = self._process
        assert process is not None
        process.terminate()
        try:
            await asyncio.to_thread(process.wait, LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        finally:
            self._folder.cleanup()

    def output(self) -> str:
        """The output so far; for nginx it includes errors of single requests."""
        return (Path(self._folder.name) / "output").read_text(errors="replace")

    def requests(self) -> list[ProxiedRequest]:
        """The requests that have ended, of sessions only; in the order of their ends."""
        return [
            ProxiedRequest(sid, method, tuple(map(int, _PORT.findall(nodes))), _has_failed(status, state))
            for status, nodes, method, sid, state in _TRACED.findall(self.output())
        ]

    def _spawn(self) -> "subprocess.Popen[bytes]":
        folder = Path(self._folder.name)
        command = self._prepare(self._balancing, folder)
        with (folder / "output").open("wb") as output:
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=output)

    async def _wait_until_it_listens(self, process: "subprocess.Popen[bytes]") -> None:
        ends_at = asyncio.get_running_loop().time() + LIMIT_S
        while process.poll() is None:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection(LOOPBACK, self.port)
                writer.close()
                await writer.wait_closed()
                return
            assert asyncio.get_running_loop().time() < ends_at, f"it does not listen:\n{self.output()}"
            await asyncio.sleep(LOOK_AGAIN_S)
        raise AssertionError(f"it has ended with {process.returncode}:\n{self.output()}")


Product = Callable[[Balancing], Balancer]
"""`nginx` or `haproxy`."""


def nginx(balancing: Balancing) -> Balancer:
    """Make an nginx; a missing one skips the test, or fails it where `CI` is set."""
    return Balancer(balancing, _prepare_nginx)


def haproxy(balancing: Balancing) -> Balancer:
    """Make a HAProxy; a missing one skips the test, or fails it where `CI` is set."""
    return Balancer(balancing, _prepare_haproxy)


def _has_failed(status: str, state: str) -> bool:
    return status in FAILED or state.startswith("S")


def check_nginx(configuration: str) -> str:
    """The exit code and the output of `nginx -t` for a configuration."""
    return _check(["nginx", "-e", "stderr", "-t", "-c"], configuration)


def check_haproxy(configuration: str) -> str:
    """The exit code and the output of `haproxy -c` for a configuration."""
    return _check(["haproxy", "-c", "-f"], configuration)


def _prepare_nginx(balancing: Balancing, folder: Path) -> Sequence[str]:
    path = folder / "nginx.conf"
    text = nginx_conf(balancing, run_dir=str(folder)).replace("access_log off;", "access_log /dev/stderr traced;")
    path.write_text(text.replace("\nhttp {", f"\nhttp {{\n    {NGINX_FORMAT}", 1))
    return [require("nginx"), "-e", "stderr", "-g", "daemon off;", "-c", str(path)]


def _prepare_haproxy(balancing: Balancing, folder: Path) -> Sequence[str]:
    path = folder / "haproxy.cfg"
    text = haproxy_conf(balancing).replace("format raw local0 notice", "format raw local0 info")
    path.write_text(text.replace("    log global\n", f"    log global\n    {HAPROXY_FORMAT}\n", 1))
    return [require("haproxy"), "-db", "-f", str(path)]


def _check(command: Sequence[str], configuration: str) -> str:
    program, *options = command
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as file:
        file.write(configuration)
        file.flush()
        done = subprocess.run(
            [require(program), *options, file.name],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
    return f"exit code {done.returncode}\n{done.stdout}"
