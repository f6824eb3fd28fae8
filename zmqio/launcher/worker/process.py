"""A worker as its parent sees it: the process, the link to it, its state and its exit."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from zmqio.exceptions import ServeError
from zmqio.ids import NodeTag
from zmqio.launcher.process_exit import describe_exit, stop_process
from zmqio.launcher.silence import Silence
from zmqio.launcher.worker.link import WorkerLink
from zmqio.launcher.worker.messages import (
    ConnectionsClosed,
    WorkerAlive,
    WorkerFailed,
    WorkerMessage,
    WorkerReady,
    WorkerSamples,
    WorkerStopping,
)
from zmqio.metrics.samples import Sample

__all__ = ["WorkerObserver", "WorkerProcess"]

COMMAND = (sys.executable, "-m", "zmqio.launcher.worker.main")


class WorkerObserver(Protocol):
    """Is notified of the state of a worker."""

    def worker_ready(self, worker: "WorkerProcess") -> None:
        """Called when the worker serves."""

    def worker_retired(self, worker: "WorkerProcess") -> None:
        """Called when the worker must get no new sessions."""

    def worker_stalled(self, worker: "WorkerProcess") -> None:
        """Called when the worker has sent no heartbeat for some seconds."""

    def worker_recovered(self, worker: "WorkerProcess") -> None:
        """Called when a stalled worker sends a heartbeat again."""

    def worker_counted(self, worker: "WorkerProcess", samples: Sequence[Sample]) -> None:
        """Called with the metrics that the worker reports, about twice per second."""

    def worker_stopping(self, worker: "WorkerProcess") -> None:
        """Called when the worker must get no more connections; at least once before `worker_exited`."""

    def worker_exited(self, worker: "WorkerProcess") -> None:
        """Called when the process has exited and all its messages are handled."""


class WorkerProcess:
    """A worker process; a `BalancedWorker`.

    Args:
        slot: number of its slot.
        tag: its node tag.
        observer: notified of its state.
        process: the running process.
        link: this end of the socket pair to it.

    Attributes:
        failure: why the worker cannot serve, if it reported that.
        was_ready: whether it has been ready.
        was_stopped: whether `stop` was called.
        ready_or_exited: set when it is ready or has exited.
        exited: set when it has exited.
    """

    def __init__(
        self, slot: int, tag: NodeTag, observer: WorkerObserver, process: Process, link: socket.socket
    ) -> None:
        self.slot = slot
        self.tag = tag
        self.failure: WorkerFailed | None = None
        self.was_ready = False
        self.was_stopped = False
        self.ready_or_exited = asyncio.Event()
        self.exited = asyncio.Event()
        self._observer = observer
        self._process = process
        self._silence = Silence()
        self._sends_heartbeats = False
        self._closed = 0
        self._link = WorkerLink(link, self._handle)
        self._watch = asyncio.get_running_loop().create_task(self._wait())

    @classmethod
    async def start(
        cls, slot: int, tag: NodeTag, observer: WorkerObserver, environment: Callable[[int], Mapping[str, str]]
    ) -> "WorkerProcess":
        """Start a process.

        Args:
            slot: number of its slot.
            tag: its node tag.
            observer: notified of its state.
            environment: returns the variables to add to this process's own, given the worker's file descriptor
                of the link.

        Raises:
            ServeError: the system cannot start a process.
        """
        try:
            ours, theirs = socket.socketpair()
        except OSError as error:
            raise ServeError(f"cannot start a worker process: {error}") from error
        with theirs:
            try:
                # In a session of its own, so that Ctrl-C reaches only the supervisor, which stops all in order.
                process = await asyncio.create_subprocess_exec(
                    *COMMAND,
                    env={**os.environ, **environment(theirs.fileno())},
                    pass_fds=(theirs.fileno(),),
                    stdin=DEVNULL,
                    start_new_session=True,
                )
            except OSError as error:
                ours.close()
                raise ServeError(f"cannot start a worker process: {error}") from error
        return cls(slot, tag, observer, process, ours)

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    @property
    def connections(self) -> int:
        """Number of open connections that were passed from this process."""
        return self._link.passed - self._closed

    @property
    def broken(self) -> bool:
        """Whether the worker's end of the link is closed."""
        return self._link.broken

    @property
    def exit_status(self) -> str:
        """The exit of the process in words, for example "exit code 1"."""
        return describe_exit(self._process.returncode)

    @property
    def silent_s(self) -> float:
        """Seconds without a heartbeat; 0 before the worker is ready and once it is stopping."""
        return self._silence.seconds

    def check(self) -> None:
        """Count a check of the heartbeats; to be called every `CHECK_INTERVAL_S`."""
        if not self._sends_heartbeats:
            return
        was_stalled = self._silence.is_long
        self._silence.count()
        if self._silence.is_long and not was_stalled:
            self._observer.worker_stalled(self)

    def pass_socket(self, connection: socket.socket) -> bool:
        """Pass a connection, or a link to an acceptor; False if it was not accepted (`WorkerLink.pass_socket`)."""
        return self._link.pass_socket(connection)

    def retire(self) -> None:
        """Keep new sessions from the worker."""
        self._observer.worker_retired(self)

    async def stop(self, timeout_s: float) -> bool:
        """Send SIGTERM, and SIGKILL after `timeout_s` seconds; False if SIGKILL was needed."""
        self.was_stopped = True
        self._ignore_heartbeats()
        in_time = await stop_process(self._process, timeout_s)
        await self.exited.wait()
        return in_time

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal, unless the process has exited."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):  # it has just exited
                self._process.send_signal(number)

    def kill(self) -> None:
        """Send SIGKILL. From then on, heartbeats are ignored."""
        self._ignore_heartbeats()
        self.send_signal(signal.SIGKILL)

    def _ignore_heartbeats(self) -> None:
        self._sends_heartbeats = False
        self._silence.end()

    def _end_silence(self) -> None:
        was_stalled = self._silence.is_long
        self._silence.end()
        if was_stalled:
            self._observer.worker_recovered(self)

    async def _wait(self) -> None:
        await self._process.wait()
        self._ignore_heartbeats()
        self._observer.worker_stopping(self)
        self._link.read_remaining()
        self._link.close()
        self._observer.worker_exited(self)
        self.ready_or_exited.set()
        self.exited.set()

    def _handle(self, message: WorkerMessage) -> None:
        match message:
            case WorkerReady():
                self.was_ready = self._sends_heartbeats = True
                self._observer.worker_ready(self)
                self.ready_or_exited.set()
            case WorkerAlive():
                self._end_silence()
            case ConnectionsClosed(count):
                self._closed += count
            case WorkerSamples(samples):
                self._observer.worker_counted(self, samples)
            case WorkerFailed():
                self.failure = message
            case WorkerStopping():
                self._ignore_heartbeats()
                self._observer.worker_stopping(self)
                self._link.finish()
