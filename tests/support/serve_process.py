"""A real `zmqio serve` for end-to-end tests: started on a free port, inspected through its log, stopped."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil

from tests.support.cluster import process_environment
from tests.support.forked import Process, start
from tests.support.process_log import ProcessLog
from tests.support.timing import LIMIT_S, wait_until
from tests.support.zygote import children_of, is_alive

__all__ = ["ServeProcess"]

ROOT = Path(__file__).resolve().parents[2]
APP = "tests.support.serve_app:app"


class ServeProcess:
    """`zmqio serve` as a child; used as `async with`, then its workers are ready.

    Args:
        arguments: further options.
        app: the served app.
        workers: how many processes.
        bind: where; by default any free port.
        environment: added to its environment.
        folder: its current folder.
        command: arguments for Python, in place of `zmqio serve` with the options above.
    """

    def __init__(
        self,
        *arguments: str,
        app: str = APP,
        workers: int = 2,
        bind: str = "127.0.0.1:0",
        environment: dict[str, str] | None = None,
        folder: Path = ROOT,
        command: Sequence[str] = (),
    ) -> None:
        self.workers = workers
        options = ["--workers", str(workers), "--bind", bind, "--log-format", "json", *arguments]
        self._command = [sys.executable, *(command or ("-m", "zmqio", "serve", app, *options))]
        self._environment = process_environment() | (environment or {})
        self._folder = folder
        self._log = ProcessLog("serve")
        self._process: Process | None = None
        self._family: dict[int, psutil.Process] = {}

    async def __aenter__(self) -> "ServeProcess":
        self.spawn()
        try:
            await self.wait_ready(self.workers)
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def spawn(self) -> None:
        """Start it."""
        self._process = start(self._command, cwd=self._folder, env=self._environment, stdout=self._log.file)

    @property
    def pid(self) -> int:
        """Of the parent."""
        assert self._process is not None
        return self._process.pid

    @property
    def url(self) -> str:
        """The URL for clients."""
        return str(self.log_lines("server_started")[0]["url"])

    @property
    def port(self) -> int:
        """Its port."""
        return int(self.url.rpartition(":")[2])

    @property
    def broker(self) -> str:
        """Address of its broker."""
        return str(self.log_lines("server_started")[0]["broker"])

    def worker_pids(self) -> list[int]:
        """Process ids of all workers that were ever ready, in that order."""
        return [line["pid"] for line in self.log_lines("worker_started")]

    def children(self) -> list[psutil.Process]:
        """The processes that it has started and that still run."""
        found = children_of(self.pid, recursive=True)
        self._family |= {process.pid: process for process in found}
        return found

    def orphans(self) -> list[psutil.Process]:
        """Those seen by `children` that still run."""
        return [process for process in self._family.values() if is_alive(process)]

    def send_signal(self, number: signal.Signals) -> None:
        """Send the parent a signal."""
        os.kill(self.pid, number)

    async def wait(self) -> int:
        """Wait until it exits, perhaps after several starts of a worker; return its exit code."""
        assert self._process is not None
        try:
            return await asyncio.to_thread(self._process.wait, 3 * LIMIT_S)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it does not end:\n{self.log_text()}") from None

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End it by a signal; its exit code."""
        self.send_signal(number)
        return await self.wait()

    async def close(self) -> None:
        """Stop it, kill remaining processes, and delete its log."""
        assert self._process is not None
        if self._process.poll() is None:
            self.children()
            self._process.terminate()
            try:
                await asyncio.to_thread(self._process.wait, LIMIT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        for process in self.orphans():
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self._log.close()

    def log_text(self) -> str:
        """The output of the server and its child processes."""
        return self._log.text()

    def log_lines(self, event: str) -> list[dict[str, Any]]:
        """Its log lines of one event."""
        return self._log.lines(event)

    async def wait_log(self, event: str, count: int = 1) -> list[dict[str, Any]]:
        """Wait until an event was logged `count` times."""
        await self.wait_for(lambda: len(self.log_lines(event)) >= count, f"{count} times {event}")
        return self.log_lines(event)

    async def wait_ready(self, count: int) -> None:
        """Wait until `count` workers have been ready since the start, and the address has been logged."""
        await self.wait_log("worker_started", count)
        await self.wait_log("server_started")

    async def wait_for(self, condition: Callable[[], object], what: str) -> None:
        """Wait for a condition; a failure shows the log."""
        try:
            await wait_until(lambda: condition() or self._has_ended(), what)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.log_text()}") from None
        assert condition(), f"ended without {what}:\n{self.log_text()}"

    def _has_ended(self) -> bool:
        return self._process is not None and self._process.poll() is not None
