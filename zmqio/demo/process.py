"""One process of the demo: how it starts and stops, its latest error output, and its recent crashes.

Knows processes and pipes; knows neither brokers nor nodes.
"""

import contextlib
import os
import signal
import subprocess
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from typing import BinaryIO

__all__ = ["MAX_CRASHES", "QUICK_CRASH_S", "DemoProcess", "describe_exit", "open_standard_streams"]

MAX_CRASHES = 5
QUICK_CRASH_S = 30.0
"""A process that ends within this many seconds of its start has crashed quickly."""
ERROR_LINES = 12
STOP_TIMEOUT_S = 8.0
"""Seconds that a process has to stop before it is killed."""
_STANDARD_ERROR = 2
_OUTPUT_TIMEOUT_S = 1.0


class DemoProcess:
    """A process that can be restarted.

    Its standard input is a pipe that ends when the demo dies, so that the process stops too. Its standard error is
    copied to that of the demo.

    Args:
        name: the name for messages, such as `node A`.
        command: program and arguments.
        environment: variables in addition to those of the demo.
        pass_fds: file descriptors that the process inherits.

    Attributes:
        process: the latest process, if one has been started.
        restart_at: time of the next start, in seconds of the caller's clock; None while the process runs.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str] | None = None,
        pass_fds: tuple[int, ...] = (),
    ) -> None:
        self.name = name
        self.process: subprocess.Popen[bytes] | None = None
        self.restart_at: float | None = None
        self._command = list(command)
        self._environment = environment or {}
        self._pass_fds = pass_fds
        self._error_lines: deque[str] = deque(maxlen=ERROR_LINES)
        self._started_at = 0.0
        self._quick_crashes = 0
        self._copier: threading.Thread | None = None

    def start(self, now: float) -> None:
        """Start the process.

        Args:
            now: seconds of the caller's clock.
        """
        self._started_at = now
        self.restart_at = None
        self._error_lines.clear()
        # A session of its own: Ctrl-C reaches only the demo, which stops the nodes before the broker.
        self.process = subprocess.Popen(
            self._command,
            env={**os.environ, **self._environment},
            pass_fds=self._pass_fds,
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        assert self.process.stderr is not None
        self._copier = threading.Thread(target=self._copy_errors, args=(self.process.stderr,), daemon=True)
        self._copier.start()

    def crashed_too_often(self, now: float) -> bool:
        """Record a crash. Return whether it is the last of `MAX_CRASHES` quick crashes in a row."""
        quick = now - self._started_at < QUICK_CRASH_S
        self._quick_crashes = self._quick_crashes + 1 if quick else 0
        return self._quick_crashes >= MAX_CRASHES

    def last_errors(self) -> list[str]:
        """Return the last lines that an ended process wrote to standard error, at most `ERROR_LINES`."""
        if self._copier is not None:
            self._copier.join(_OUTPUT_TIMEOUT_S)
        return list(self._error_lines)

    def write_line(self, line: str) -> None:
        """Write a line to the standard input of the process, if it runs."""
        if self.process is not None and self.process.stdin is not None:
            # Past the buffer, which would be written once more at the close of a broken pipe.
            with contextlib.suppress(OSError, ValueError):
                os.write(self.process.stdin.fileno(), f"{line}\n".encode())

    def stop(self) -> None:
        """Ask the process to stop."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)  # a suspended process would not react to SIGTERM
            self.process.terminate()

    def wait(self) -> None:
        """Wait until the process has ended. Kill it after `STOP_TIMEOUT_S`."""
        if self.process is None:
            return
        try:
            self.process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.close_pipes()

    def close_pipes(self) -> None:
        """Close the pipes to an ended process, after its last output has been copied."""
        if self._copier is not None:
            self._copier.join(_OUTPUT_TIMEOUT_S)
        if self.process is not None and self.process.stdin is not None:
            self.process.stdin.close()

    def _copy_errors(self, pipe: BinaryIO) -> None:
        with pipe:
            for line in pipe:
                self._error_lines.append(line.decode(errors="replace").rstrip("\n"))
                with contextlib.suppress(OSError):  # the demo's own standard error may be closed
                    os.write(_STANDARD_ERROR, line)


def describe_exit(code: int) -> str:
    """Return an exit code in words."""
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def open_standard_streams() -> None:
    """Open /dev/null in place of standard streams that are closed.

    Otherwise the next sockets get their numbers, 0 to 2. A child process would lose such a socket, because these
    numbers are its own standard streams.
    """
    for fd in range(3):
        try:
            os.fstat(fd)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # open returns the lowest free number
