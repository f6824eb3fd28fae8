"""The broker that a server starts for itself: a process on a private ipc path, started again when it ends."""

import asyncio
import contextlib
import shutil
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from pathlib import Path

import structlog

from zmqio.exceptions import ServeError
from zmqio.launcher.process_exit import describe_ending, stop_process
from zmqio.launcher.restarts import Restarts

__all__ = ["BrokerProcess"]

log = structlog.get_logger(__name__)

STOP_LIMIT_S = 5.0
LONGEST_PATH_BYTES = 90
"""A unix socket's path has 107 bytes, and the broker adds up to 10 for each of its four."""


class BrokerProcess:
    """A broker process.

    Args:
        log_format, log_level: as of the `zmqio` command.

    Attributes:
        address: where nodes on this machine, of the same user, reach it.
    """

    def __init__(self, log_format: str, log_level: str) -> None:
        self._folder = _private_folder()
        self.address = f"ipc://{self._folder / 'broker'}"
        # Its start and stop are the server's; at INFO they would be told twice.
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
        """Start it. Nodes find it when it is ready."""
        # Its own session: Ctrl-C reaches only the supervisor. Its stdin ends with this process, and so does it.
        self._process = await asyncio.create_subprocess_exec(*self._command, stdin=PIPE, start_new_session=True)

    async def keep(self) -> None:
        """Start it again when it ends; ends only by cancellation.

        Raises:
            ServeError: it ended so often that starting it again makes no sense.
        """
        restarts = Restarts()
        while True:
            assert self._process is not None  # `start` comes first
            ending = describe_ending(await self._process.wait())
            log.error("broker_ended", pid=self._process.pid, ending=ending)
            delay_s = restarts.ended(asyncio.get_running_loop().time(), was_ready=True)
            if delay_s is None:
                raise ServeError(f"giving up: the broker ends again and again; the last time: {ending}")
            await asyncio.sleep(delay_s)
            await asyncio.shield(self.start())

    async def stop(self) -> None:
        """Stop it and remove its folder."""
        if self._process is not None and not await stop_process(self._process, STOP_LIMIT_S):
            log.warning("broker_killed", pid=self._process.pid)
        with contextlib.suppress(OSError):
            shutil.rmtree(self._folder)


def _private_folder() -> Path:
    """A new folder that only this user may enter."""
    folder = Path(tempfile.mkdtemp(prefix="zmqio-"))
    if len(str(folder).encode()) > LONGEST_PATH_BYTES:
        folder.rmdir()
        folder = Path(tempfile.mkdtemp(prefix="zmqio-", dir="/tmp"))
    return folder
