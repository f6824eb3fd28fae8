"""The broker that `zmqio serve` starts for itself: a child process on a private ipc path, restarted on exit."""

import asyncio
import contextlib
import shutil
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable
from pathlib import Path

from zmqio.exceptions import ServeError
from zmqio.launcher.process_exit import describe_exit, stop_process
from zmqio.launcher.restarts import RestartPolicy
from zmqio.logger import get_logger

__all__ = ["BrokerProcess"]

log = get_logger(__name__)

STOP_TIMEOUT_S = 5.0
"""Seconds between SIGTERM and SIGKILL."""
MAX_FOLDER_BYTES = 90
"""The path of a unix socket has at most 107 bytes, of which the broker's four suffixes take up to 10."""


class BrokerProcess:
    """A broker process.

    Args:
        log_format, log_level: the options of the same name of the `zmqio` command.
        on_started: called at each start of a process.

    Attributes:
        address: the address of the broker for nodes of this user on this machine.
    """

    def __init__(self, log_format: str, log_level: str, on_started: Callable[[], None] = lambda: None) -> None:
        self._on_started = on_started
        self._folder = _private_folder()
        self.address = f"ipc://{self._folder / 'broker'}"
        # The broker starts and stops with the server, whose log lines suffice at INFO.
        logs = ("--log-format", log_format, "--log-level", "warning" if log_level == "info" else log_level)
        self._command = (
            sys.executable,
            "-m",
            "zmqio_broker",
            "--bind",
            self.address,
            "--stop-with-stdin",
            "--own-folder",
            *logs,
        )
        self._process: Process | None = None

    async def start(self) -> None:
        """Start the process. Nodes connect once it is ready."""
        # A session of its own keeps Ctrl-C from the broker. Its standard input closes when this process ends,
        # which makes the broker exit.
        self._process = await asyncio.create_subprocess_exec(*self._command, stdin=PIPE, start_new_session=True)
        self._on_started()

    async def supervise(self) -> None:
        """Restart the process whenever it exits; runs until cancelled.

        Raises:
            ServeError: it exited too often (see `RestartPolicy`).
        """
        restarts = RestartPolicy()
        while True:
            assert self._process is not None  # `start` comes first
            exit_status = describe_exit(await self._process.wait())
            log.error("broker_exited", pid=self._process.pid, exit_status=exit_status)
            delay_s = restarts.record_exit(asyncio.get_running_loop().time(), was_ready=True)
            if delay_s is None:
                raise ServeError(f"giving up: the broker keeps exiting; last time: {exit_status}")
            await asyncio.sleep(delay_s)
            await asyncio.shield(self.start())

    async def stop(self) -> None:
        """Stop the process and remove its folder."""
        if self._process is not None and not await stop_process(self._process, STOP_TIMEOUT_S):
            log.warning("broker_killed", pid=self._process.pid, timeout_s=STOP_TIMEOUT_S)
        with contextlib.suppress(OSError):
            shutil.rmtree(self._folder)


def _private_folder() -> Path:
    """Create a folder that only this user may enter."""
    folder = Path(tempfile.mkdtemp(prefix="zmqio-"))
    if len(str(folder).encode()) > MAX_FOLDER_BYTES:
        folder.rmdir()
        folder = Path(tempfile.mkdtemp(prefix="zmqio-", dir="/tmp"))
    return folder
