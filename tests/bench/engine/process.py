"""A server under test as a process: started on one core, measured from outside, ended by its id."""

import os
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType

__all__ = ["LOAD_CORE", "SERVER_CORE", "ServerProcess", "on_core"]

SERVER_CORE, LOAD_CORE = 0, 1
START_LIMIT_S = 20.0
STOP_LIMIT_S = 5.0
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
ROOT = Path(__file__).resolve().parents[3]


def on_core(core: int, command: Sequence[str]) -> list[str]:
    """Restrict `command` with all its threads to one core, unless the machine has only one."""
    return ["taskset", "-c", str(core), *command] if (os.cpu_count() or 1) > 1 else list(command)


class ServerProcess:
    """Runs while the `with` block does; entered when it accepts connections.

    Args:
        command: the command.
        port: its port on 127.0.0.1.
        environment: added to this process's own.
    """

    def __init__(self, command: Sequence[str], port: int, environment: Mapping[str, str]) -> None:
        self.port = port
        self._command = on_core(SERVER_CORE, command)
        # Compiled modules are kept, or each start of a server in Python would compile all that are not installed.
        self._environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "", **environment}
        self._process: subprocess.Popen[bytes]

    def __enter__(self) -> "ServerProcess":
        self._process = subprocess.Popen(
            self._command, cwd=ROOT, env=self._environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )
        try:
            self._wait_until_it_listens()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def cpu_s(self) -> float:
        """User and system CPU of all its threads so far, without child processes.

        Source: clock_getcpuclockid(3); nanoseconds, where /proc/PID/stat counts in 10 ms.
        """
        return time.clock_gettime((~self._process.pid << 3) | 2)

    def resident_bytes(self) -> int:
        """Resident memory."""
        pages = Path(f"/proc/{self._process.pid}/statm").read_text().split()[1]
        return int(pages) * PAGE_BYTES

    def _wait_until_it_listens(self) -> None:
        ends_at = time.monotonic() + START_LIMIT_S
        while True:
            if self._process.poll() is not None:
                raise RuntimeError(f"{self._command} ended with {self._process.returncode}")
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                if time.monotonic() > ends_at:
                    raise
                time.sleep(0.05)
            else:
                return

    def _stop(self) -> None:
        self._process.kill()  # its clients have disconnected, and a graceful stop is not measured
        self._process.wait(STOP_LIMIT_S)
