"""Lets a forked `zmqio serve` or `zmqio demo` fork its processes as well, in place of starting interpreters.

Before the program runs, it forks a *zygote*, which has imported everything and has no threads. To start a process,
the program sends the zygote a request. The zygote forks a middle process; this forks the new one and exits. The
program adopts orphans among its descendants (PR_SET_CHILD_SUBREAPER), so that it is then the parent of the new
process: process id, signals, exit code, and the death of the parent are as if it had started an interpreter.
"""

import asyncio
import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import psutil

from tests.support.forked import MOST_DESCRIPTORS, REQUEST_BYTES, fork_facts, is_warmed

__all__ = ["ZYGOTE", "RunRequest", "children_of", "fork_own_processes", "is_alive", "set_process_name"]

ZYGOTE = "zygote"
"""Name of a zygote in the list of processes."""
PR_SET_NAME = 15
PR_SET_CHILD_SUBREAPER = 36

RunRequest = Callable[[dict[str, Any], list[int]], None]
"""Runs a program in this fork: `run(facts, descriptors)`."""


def children_of(pid: int, *, recursive: bool = False) -> list[psutil.Process]:
    """The processes that a process has started, without its zygote."""
    return [child for child in psutil.Process(pid).children(recursive) if _name_of(child) not in ("", ZYGOTE)]


def is_alive(process: psutil.Process) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:  # it has ended between the two
        return False


def fork_own_processes(run: RunRequest) -> None:
    """Let this process fork the programs of `WARMED` that it starts; each fork calls `run`."""
    control, end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if os.fork() == 0:
        control.close()
        _Zygote(end, run).serve()
    end.close()
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    _ForkingPopen.control = control
    _AsyncProcess.start_other = asyncio.create_subprocess_exec
    subprocess.Popen = _ForkingPopen  # type: ignore[misc]
    asyncio.create_subprocess_exec = _AsyncProcess.start  # type: ignore[assignment]


def _name_of(process: psutil.Process) -> str:
    """The name of a process; empty if it has just ended."""
    try:
        return str(process.name())
    except psutil.NoSuchProcess:
        return ""


class _Zygote:
    """Forks for one program, until that program ends."""

    def __init__(self, control: socket.socket, run: RunRequest) -> None:
        self._control = control
        self._run = run
        set_process_name(ZYGOTE)
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    def serve(self) -> None:
        """Serve requests; does not return."""
        while True:
            data, descriptors, _, _ = socket.recv_fds(self._control, REQUEST_BYTES, MOST_DESCRIPTORS)
            if not data:
                os._exit(0)
            reader, writer = os.pipe()
            middle = os.fork()
            if middle == 0 and self._fork_orphan(writer):
                self._control.close()
                self._run(json.loads(data), descriptors)
                sys.exit(0)
            os.close(writer)
            for descriptor in descriptors:
                os.close(descriptor)
            os.waitpid(middle, 0)
            self._control.send(os.read(reader, 32))
            os.close(reader)

    def _fork_orphan(self, writer: int) -> bool:
        """In the new process, return True. The middle process writes its id and ends."""
        pid = os.fork()
        if pid:
            os.write(writer, str(pid).encode())
            os._exit(0)
        return True


def set_process_name(name: str) -> None:
    """Name this process in the list of processes, by the last 15 characters of `name`."""
    ctypes.CDLL(None).prctl(PR_SET_NAME, name[-15:].encode())


class _ForkingPopen(subprocess.Popen[Any]):
    """`subprocess.Popen` that forks the programs of `WARMED`."""

    control: ClassVar[socket.socket]

    def _execute_child(self, *arguments: Any) -> None:
        args, _, _, _, pass_fds, cwd, env = arguments[:7]
        if not is_warmed(args, env or os.environ):
            super()._execute_child(*arguments)  # type: ignore[misc]
            return
        pipes = arguments[10:16]
        streams = {fd: fd if end == -1 else end for fd, end in enumerate((pipes[0], pipes[3], pipes[5]))}
        descriptors = streams | {fd: fd for fd in pass_fds}
        folder = str(cwd or Path.cwd())
        facts = fork_facts(args, env or os.environ, folder, descriptors, leads_session=arguments[21])
        socket.send_fds(self.control, [facts], list(descriptors.values()))
        self.pid = int(self.control.recv(32))
        self._child_created = True
        self._close_pipe_fds(*pipes)  # type: ignore[attr-defined]


class _AsyncProcess:
    """The part of `asyncio.subprocess.Process` that `zmqio serve` uses, of a forked process."""

    start_other: ClassVar[Callable[..., Any]]

    def __init__(self, process: _ForkingPopen) -> None:
        self.pid = process.pid
        self._process = process
        self._ended = asyncio.Event()
        self._watched = os.pidfd_open(process.pid)
        asyncio.get_running_loop().add_reader(self._watched, self._end)

    @classmethod
    async def start(cls, *command: str, **options: Any) -> Any:
        """Replace `asyncio.create_subprocess_exec`."""
        if is_warmed(command, options.get("env") or os.environ):
            return cls(_ForkingPopen(command, **options))
        return await cls.start_other(*command, **options)

    @property
    def returncode(self) -> int | None:
        """Its exit code; None while it runs."""
        return self._process.returncode

    async def wait(self) -> int:
        """Wait for its end; returns its exit code."""
        await self._ended.wait()
        return int(self._process.returncode)

    def send_signal(self, number: int) -> None:
        """Send it a signal.

        Raises:
            ProcessLookupError: it has ended.
        """
        if self._process.poll() is not None:
            raise ProcessLookupError
        self._process.send_signal(number)

    def _end(self) -> None:
        asyncio.get_running_loop().remove_reader(self._watched)
        os.close(self._watched)
        self._process.wait()
        self._ended.set()
