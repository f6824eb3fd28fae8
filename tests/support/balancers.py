"""nginx and HAProxy for tests: real processes on a free loopback port, with a configuration that zmqio wrote."""

import asyncio
import contextlib
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType

from tests.support.ports import free_port
from tests.support.timing import LIMIT_S
from tests.support.tools import require
from zmqio.recipes.balancing import Balancing
from zmqio.recipes.haproxy import haproxy_conf
from zmqio.recipes.nginx import nginx_conf

__all__ = ["Balancer", "Product", "check_haproxy", "check_nginx", "haproxy", "nginx"]

LOOPBACK = "127.0.0.1"
LOOK_AGAIN_S = 0.02


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


def check_nginx(configuration: str) -> str:
    """The exit code and the output of `nginx -t` for a configuration."""
    return _check(["nginx", "-e", "stderr", "-t", "-c"], configuration)


def check_haproxy(configuration: str) -> str:
    """The exit code and the output of `haproxy -c` for a configuration."""
    return _check(["haproxy", "-c", "-f"], configuration)


def _prepare_nginx(balancing: Balancing, folder: Path) -> Sequence[str]:
    path = folder / "nginx.conf"
    path.write_text(nginx_conf(balancing, run_dir=str(folder)))
    return [require("nginx"), "-e", "stderr", "-g", "daemon off;", "-c", str(path)]


def _prepare_haproxy(balancing: Balancing, folder: Path) -> Sequence[str]:
    path = folder / "haproxy.cfg"
    path.write_text(haproxy_conf(balancing))
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
