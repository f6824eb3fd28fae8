"""An acceptor as the supervisor sees it: the process, the link to it, its counters and its exit."""

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
from zmqio.launcher.accept.acceptor_link import AcceptorLink
from zmqio.launcher.accept.acceptor_messages import (
    AcceptorAlive,
    AcceptorCounters,
    AcceptorMessage,
    AcceptorReady,
    SupervisorMessage,
    WorkerLinkLost,
)
from zmqio.launcher.process_exit import describe_exit
from zmqio.launcher.silence import Silence
from zmqio.launcher.worker.spec import ACCEPTOR_SPEC_VARIABLE, AcceptorSpec

__all__ = ["AcceptorObserver", "AcceptorProcess"]

COMMAND = (sys.executable, "-m", "zmqio.launcher.accept.acceptor")


class AcceptorObserver(Protocol):
    """Is notified of the state of an acceptor."""

    def acceptor_ready(self, acceptor: "AcceptorProcess") -> None:
        """Called when the acceptor is ready."""

    def worker_link_lost(self, acceptor: "AcceptorProcess", tag: NodeTag) -> None:
        """Called when the acceptor's link to the worker with this tag has ended unexpectedly."""


class AcceptorProcess:
    """An acceptor process.

    Args:
        number: number of the acceptor.
        observer: notified of its state.
        process: the running process.
        link: this end of the socket pair to it.

    Attributes:
        was_ready: whether it has been ready.
        counters: counters of its balancer, as of its last heartbeat.
        exited: set when the process has exited and all its messages are handled.
    """

    def __init__(self, number: int, observer: AcceptorObserver, process: Process, link: socket.socket) -> None:
        self.number = number
        self.was_ready = False
        self.counters: Mapping[str, int] = {}
        self.exited = asyncio.Event()
        self._observer = observer
        self._process = process
        self._silence = Silence()
        self._link = AcceptorLink(link, self._handle)
        self._watch = asyncio.get_running_loop().create_task(self._wait())

    @classmethod
    async def start(
        cls, observer: AcceptorObserver, listener: socket.socket, make_spec: Callable[[int, int], AcceptorSpec]
    ) -> "AcceptorProcess":
        """Start a process.

        Args:
            observer: notified of its state.
            listener: the listening socket; stays open in this process.
            make_spec: returns the settings, given the file descriptors of the listening socket and the link.

        Raises:
            ServeError: the system cannot start a process.
        """
        try:
            ours, theirs = socket.socketpair()
        except OSError as error:
            raise ServeError(f"cannot start an acceptor process: {error}") from error
        with theirs:
            fds = (listener.fileno(), theirs.fileno())
            spec = make_spec(*fds)
            try:
                # In a session of its own, so that Ctrl-C reaches only the supervisor, which stops all in order.
                process = await asyncio.create_subprocess_exec(
                    *COMMAND,
                    env={**os.environ, ACCEPTOR_SPEC_VARIABLE: spec.to_json()},
                    pass_fds=fds,
                    stdin=DEVNULL,
                    start_new_session=True,
                )
            except OSError as error:
                ours.close()
                raise ServeError(f"cannot start an acceptor process: {error}") from error
        return cls(spec.number, observer, process, ours)

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    @property
    def exit_status(self) -> str:
        """The exit of the process in words, for example "exit code 1"."""
        return describe_exit(self._process.returncode)

    @property
    def silent_s(self) -> float:
        """Seconds without a heartbeat; 0 before the acceptor is ready."""
        return self._silence.seconds

    def check(self) -> None:
        """Count a check of the heartbeats; to be called every `CHECK_INTERVAL_S`."""
        if self.was_ready:
            self._silence.count()

    def kill(self) -> None:
        """Send SIGKILL."""
        self._silence.end()
        self._send_signal(signal.SIGKILL)

    def send(self, message: SupervisorMessage, attached: socket.socket | None = None) -> None:
        """Send a message, and a socket that is closed in this process. Kill an acceptor that does not read."""
        if not self._link.send_message(message, attached):
            self._send_signal(signal.SIGKILL)

    async def stop(self, timeout_s: float) -> bool:
        """Let the process handle its messages and exit; kill it after `timeout_s` seconds.

        Returns:
            False if SIGKILL was needed.
        """
        self._send_signal(signal.SIGCONT)  # a suspended process would not notice the end of the socket
        self._link.finish()
        try:
            await asyncio.wait_for(self.exited.wait(), timeout_s)
        except TimeoutError:
            self._send_signal(signal.SIGKILL)
            await self.exited.wait()
            return False
        return True

    def _send_signal(self, number: signal.Signals) -> None:
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):  # it has just exited
                self._process.send_signal(number)

    async def _wait(self) -> None:
        await self._process.wait()
        self._link.read_remaining()
        self._link.close()
        self.exited.set()

    def _handle(self, message: AcceptorMessage) -> None:
        match message:
            case AcceptorReady():
                self.was_ready = True
                self._observer.acceptor_ready(self)
            case AcceptorAlive():
                self._silence.end()
            case WorkerLinkLost(tag):
                self._observer.worker_link_lost(self, tag)
            case AcceptorCounters(counters):
                self.counters = counters
