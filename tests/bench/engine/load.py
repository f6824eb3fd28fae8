"""The load generator (`c/load.c`) as an object: one command, one result."""

import json
import subprocess
from contextlib import suppress
from types import TracebackType
from typing import Any

from tests.bench.engine.build import compiled
from tests.bench.engine.process import LOAD_CORE, on_core

__all__ = ["Load", "LoadError", "Result"]

COMMAND_LIMIT_S = 60
Result = dict[str, Any]


class LoadError(Exception):
    """A server failed or was too slow; the text says how."""


class Load:
    """Runs while the `with` block does.

    Args:
        port: port of the server on 127.0.0.1.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._process: subprocess.Popen[str]

    def __enter__(self) -> "Load":
        command = on_core(LOAD_CORE, [str(compiled("load")), str(self._port), str(COMMAND_LIMIT_S)])
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(BrokenPipeError):  # a command that an ended process never read
                if pipe is not None:
                    pipe.close()

    def run(self, command: str) -> Result:
        """Run one command of `c/load.c`.

        Returns:
            `seconds`, `load_cpu_s`, `deliveries`; of some commands `p50_us`, `p99_us`, `max_us` or `ack`.

        Raises:
            LoadError: the server failed or was too slow.
        """
        pipes = self._process.stdin, self._process.stdout
        assert pipes[0] is not None and pipes[1] is not None
        with suppress(BrokenPipeError):  # it has exited and reported the reason
            pipes[0].write(command + "\n")
        answer = pipes[1].readline()
        result: Result = json.loads(answer) if answer else {"error": "the load generator has ended"}
        if "error" in result:
            raise LoadError(f"{command}: {result['error']}")
        return result
