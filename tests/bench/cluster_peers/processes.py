"""Child processes of the benchmark: started, measured from outside, ended by their id."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

from tests.support.ports import free_port

__all__ = ["Child", "cpu_s", "redis_server"]

START_LIMIT_S = 90.0
"""Eight nodes start at the same time."""
STOP_LIMIT_S = 5.0
ROOT = Path(__file__).resolve().parents[3]


def cpu_s(pid: int) -> float:
    """User and system CPU of all threads of a process so far.

    Source: clock_getcpuclockid(3): counts in nanoseconds, where /proc/PID/stat counts in 10 ms.
    """
    return time.clock_gettime((~pid << 3) | 2)


class Child:
    """Runs while the `with` block does.

    Args:
        command: the command.
        port: its port on 127.0.0.1.
        environment: added to this process's own.
    """

    def __init__(self, command: Sequence[str], port: int, environment: Mapping[str, str]) -> None:
        self.port = port
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed by `__exit__`
        self._command = command
        self._process = subprocess.Popen(
            command,
            cwd=ROOT,
            # Compiled modules are kept, or each start would compile all that are not installed.
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "", **environment},
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
        )

    def __enter__(self) -> "Child":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()  # a graceful stop is not measured
        self._process.wait(STOP_LIMIT_S)
        self._log.close()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def wait_until_it_listens(self) -> None:
        """Wait until it accepts connections. Raises RuntimeError with its output if it does not."""
        ends_at = time.monotonic() + START_LIMIT_S
        while self._process.poll() is None and time.monotonic() < ends_at:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                time.sleep(0.05)
            else:
                return
        self._log.seek(0)
        raise RuntimeError(f"{' '.join(self._command)} does not listen: {self._log.read()[-2000:]}")


def redis_server() -> Child:
    """A Redis server that keeps nothing on disk."""
    program, port = shutil.which("redis-server"), free_port()
    if program is None:
        raise SystemExit("the benchmark needs redis-server (Debian: apt-get install redis-server)")
    command = [program, "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--appendonly", "no"]
    return Child(command, port, {})
