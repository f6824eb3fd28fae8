"""One worker as the supervisor sees it: a process, its link, how far it has come, and how it ends."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Callable, Mapping
from typing import Protocol

from zmqio.exceptions import ServeError
from zmqio.ids import NodeTag
from zmqio.launcher.process_exit import describe_ending, stop_process
from zmqio.launcher.worker.link import WorkerLink
from zmqio.launcher.worker.messages import Closed, Failed, Report, Stopping, WorkerReady

__all__ = ["Watcher", "WorkerProcess"]

COMMAND = (sys.executable, "-m", "zmqio.launcher.worker.main")


class Watcher(Protocol):
    """Who has to know what becomes of a worker."""

    def is_ready(self, worker: "WorkerProcess") -> None:
        """It serves."""

    def takes_no_new(self, worker: "WorkerProcess") -> None:
        """It was retired."""

    def takes_no_more(self, worker: "WorkerProcess") -> None:
        """It stops; called at least once before `has_ended`."""

    def has_ended(self, worker: "WorkerProcess") -> None:
        """Its process has ended, and all that it said was heard."""


class WorkerProcess:
    """A worker that was started; a `Candidate` of the balancer's choice.

    Args:
        slot: its place.
        tag: its node tag.
        watcher: hears of it.
        process: the process.
        link: this end of its link.

    Attributes:
        failure: what it said if it could not serve.
        was_ready: whether it has ever served.
        settled: it is ready, or has ended.
        ended: the process has ended.
    """

    def __init__(self, slot: int, tag: NodeTag, watcher: Watcher, process: Process, link: socket.socket) -> None:
        self.slot = slot
        self.tag = tag
        self.failure: Failed | None = None
        self.was_ready = False
        self.settled = asyncio.Event()
        self.ended = asyncio.Event()
        self._watcher = watcher
        self._process = process
        self._closed = 0
        self._link = WorkerLink(link, self._heard)
        self._watch = asyncio.get_running_loop().create_task(self._wait())

    @classmethod
    async def start(
        cls, slot: int, tag: NodeTag, watcher: Watcher, environment: Callable[[int], Mapping[str, str]]
    ) -> "WorkerProcess":
        """Start one.

        Args:
            slot: its place.
            tag: its node tag.
            watcher: hears of it.
            environment: what is added to this process's own, given the file descriptor of the worker's link.

        Raises:
            ServeError: the system starts no process.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                # A session of its own: Ctrl-C reaches only the supervisor, which stops in its order.
                process = await asyncio.create_subprocess_exec(
                    *COMMAND,
                    env={**os.environ, **environment(theirs.fileno())},
                    pass_fds=(theirs.fileno(),),
                    stdin=DEVNULL,
                    start_new_session=True,
                )
            except OSError as error:
                ours.close()
                raise ServeError(f"cannot start a worker: {error}") from error
        return cls(slot, tag, watcher, process, ours)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def connections(self) -> int:
        """How many it has of those that it was given from here."""
        return self._link.given - self._closed

    @property
    def broken(self) -> bool:
        """Whether it is gone, as far as its link knows."""
        return self._link.broken

    @property
    def ending(self) -> str:
        """How it has ended, in words."""
        return describe_ending(self._process.returncode)

    def give(self, connection: socket.socket) -> bool:
        """Hand a connection over, or a link to an acceptor; False if it takes none (see `WorkerLink.give`)."""
        return self._link.give(connection)

    def retire(self) -> None:
        """Let it get no new sessions any more."""
        self._watcher.takes_no_new(self)

    async def stop(self, limit_s: float) -> bool:
        """Let it end by SIGTERM; after `limit_s` seconds it is killed. Whether it ended by itself."""
        ended = await stop_process(self._process, limit_s)
        await self.ended.wait()
        return ended

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal, if it still runs."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):  # it has ended just now
                self._process.send_signal(number)

    async def _wait(self) -> None:
        await self._process.wait()
        self._watcher.takes_no_more(self)
        self._link.read_rest()
        self._link.close()
        self._watcher.has_ended(self)
        self.settled.set()
        self.ended.set()

    def _heard(self, report: Report) -> None:
        match report:
            case WorkerReady():
                self.was_ready = True
                self._watcher.is_ready(self)
                self.settled.set()
            case Closed(count):
                self._closed += count
            case Failed():
                self.failure = report
            case Stopping():
                self._watcher.takes_no_more(self)
                self._link.finish()
