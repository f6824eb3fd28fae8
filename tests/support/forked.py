"""Processes that are forked from one that has already imported all modules (`tests.support.warmed`).

A new interpreter needs 0.6 to 1 s of CPU to import uvicorn, engineio and zmqio; a fork needs 10 ms.
`start` replaces `subprocess.Popen` for `python -m MODULE ...` where the module is one of `WARMED`. Other commands
are started by `subprocess.Popen`. So are all commands outside of a test run: benchmarks measure real processes.
"""

import atexit
import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

__all__ = [
    "BROKER",
    "COMMAND_LINE",
    "MOST_DESCRIPTORS",
    "REQUEST_BYTES",
    "WARMED",
    "ForkedProcess",
    "Process",
    "allow_forks",
    "fork_facts",
    "is_broker",
    "is_warmed",
    "start",
]

BROKER = "zmqio_broker"
COMMAND_LINE = "zmqio"
WARMED = (
    BROKER,
    COMMAND_LINE,
    "zmqio.demo.node",
    "zmqio.launcher.accept.acceptor",
    "zmqio.launcher.worker.main",
    "tests.support.admin_node",
    "tests.support.node_app",
    "tests.support.cluster_app",
    "tests.support.session_app",
    "tests.bench.soak.node_app",
    "uvicorn",
)
"""Programs that can be forked. Each has a function `main`, except for the broker."""
AT_START = ("PYTHONIOENCODING", "PYTHONWARNINGS", "PYTHONDEVMODE")
"""Variables that an interpreter reads when it starts. A command with one of them is not forked."""
REQUEST_BYTES = 256 << 10
"""Largest request for a fork."""
MOST_DESCRIPTORS = 16

ROOT = Path(__file__).resolve().parents[2]


class ForkedProcess:
    """A forked process, with the part of the interface of `subprocess.Popen` that tests use.

    Args:
        pid: its process id.
        report: a pipe on which its exit code arrives; closed without one if the warmed process was killed.
        args: its command line.
        stdout: its output, if that goes to a pipe.
    """

    def __init__(self, pid: int, report: int, args: Sequence[str], stdout: Any = None) -> None:
        self.pid = pid
        self.args = list(args)
        self.stdout = stdout
        self.returncode: int | None = None
        self._report = report
        self._lock = threading.Lock()

    def poll(self) -> int | None:
        """Its exit code; None while it runs."""
        return self._look(0)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end; returns its exit code.

        Raises:
            subprocess.TimeoutExpired: it still runs after `timeout` seconds.
        """
        ends_at = None if timeout is None else time.monotonic() + timeout
        while self.returncode is None:
            left = None if ends_at is None else max(ends_at - time.monotonic(), 0)
            if self._look(left) is None and left == 0:
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def terminate(self) -> None:
        """SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def _look(self, timeout_s: float | None) -> int | None:
        if self.returncode is None and self._is_readable(timeout_s):
            with self._lock:
                if self.returncode is None:
                    self.returncode = int(os.read(self._report, 32) or -signal.SIGKILL)
                    os.close(self._report)
        return self.returncode

    def _is_readable(self, timeout_s: float | None) -> bool:
        try:
            poll = select.poll()
            poll.register(self._report, select.POLLIN)
            return bool(poll.poll(None if timeout_s is None else timeout_s * 1000))
        except ValueError:
            return self.returncode is None  # another thread has read the report and closed it

    def __del__(self) -> None:
        if self.returncode is None:
            os.close(self._report)


Process = subprocess.Popen[Any] | ForkedProcess


class _Forker:
    """The warmed process, as the test run holds it; it starts with the first fork."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket

    def fork(self, request: bytes, descriptors: Mapping[int, int]) -> tuple[int, int]:
        """Fork one process; returns its process id and the descriptor on which its exit code arrives."""
        report, report_end = os.pipe()
        with self._lock:
            self._start()
            socket.send_fds(self._control, [request], [report_end, *descriptors.values()])
            os.close(report_end)
            answer = self._control.recv(32)
        if not answer:
            raise RuntimeError("the warmed process has ended; see its output above")
        return int(answer), report

    def _start(self) -> None:
        if self._process is not None:
            return
        self._control, end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with end:
            paths = os.pathsep.join((str(ROOT), str(ROOT / "broker"), os.environ.get("PYTHONPATH", "")))
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.warmed", str(end.fileno())],
                cwd=ROOT,
                env=os.environ | {"PYTHONPATH": paths.rstrip(os.pathsep), "PYTHONFAULTHANDLER": "1"},
                pass_fds=[end.fileno()],
                stdin=subprocess.DEVNULL,
            )
        atexit.register(self._stop, self._process)

    def _stop(self, process: "subprocess.Popen[bytes]") -> None:
        self._control.close()
        process.wait()


_forker: _Forker | None = None


def allow_forks() -> None:
    """Let `start` fork in this process. The test run calls it; a benchmark does not."""
    global _forker  # noqa: PLW0603
    _forker = _forker or _Forker()


def is_warmed(command: Sequence[str], env: Mapping[str, str]) -> bool:
    """Whether a command can be forked: `python -m MODULE ...` with a module of `WARMED`."""
    is_known = list(command[:2]) == [sys.executable, "-m"] and command[2] in WARMED
    return is_known and not any(name in env for name in AT_START)


def is_broker(process: psutil.Process) -> bool:
    """Whether a process is a broker, be it forked (its name tells) or not."""
    return process.name() == BROKER or BROKER in process.cmdline()


def fork_facts(
    command: Sequence[str],
    env: Mapping[str, str],
    cwd: str,
    descriptors: Mapping[int, int],
    *,
    leads_session: bool = False,
) -> bytes:
    """Return the request for a fork; `descriptors` follow it: the number in the fork, and the one here."""
    request = {
        "module": command[2],
        "arguments": list(command[3:]),
        "environment": dict(env),
        "folder": cwd,
        "descriptors": list(descriptors),
        "leads_session": leads_session,
    }
    return json.dumps(request).encode()


def start(
    command: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path = ROOT,
    pass_fds: Sequence[int] = (),
    stdout: Any = None,
    start_new_session: bool = False,
) -> Process:
    """Start a process without standard input; both of its outputs go to `stdout`.

    Args:
        command: as for `subprocess.Popen`; it is forked if it is `python -m MODULE ...` with a module of `WARMED`.
        env: its environment.
        cwd: its current folder.
        pass_fds: descriptors that it has under the same numbers.
        stdout: a file, its descriptor, `subprocess.DEVNULL`, or `subprocess.PIPE` to read text from the returned
            process.
        start_new_session: whether it leads a session of its own.
    """
    if _forker is None or not is_warmed(command, env):
        return subprocess.Popen(
            command,
            cwd=cwd,
            env=env,
            pass_fds=pass_fds,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=subprocess.STDOUT,
            text=stdout == subprocess.PIPE,
            start_new_session=start_new_session,
        )
    with Path(os.devnull).open("r+") as nothing, contextlib.ExitStack() as stack:
        reader = None
        if stdout == subprocess.PIPE:
            read_end, write_end = os.pipe()
            reader = os.fdopen(read_end)
            stack.callback(os.close, write_end)
        else:
            output = nothing if stdout == subprocess.DEVNULL else 1 if stdout is None else stdout
            write_end = output if isinstance(output, int) else output.fileno()
        descriptors = {0: nothing.fileno(), 1: write_end, 2: write_end, **{fd: fd for fd in pass_fds}}
        facts = fork_facts(command, env, str(cwd), descriptors, leads_session=start_new_session)
        pid, report = _forker.fork(facts, descriptors)
    return ForkedProcess(pid, report, command, reader)
