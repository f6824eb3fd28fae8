"""One acceptor as the supervisor sees it: a process, its link, what it counted, and how it ends."""

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
from zmqio.launcher.accept.acceptor_messages import AcceptorReady, Counted, Lost, Note, Order
from zmqio.launcher.process_exit import describe_ending
from zmqio.launcher.worker.spec import ACCEPTOR_ENVIRONMENT, AcceptorSpec

__all__ = ["AcceptorProcess", "AcceptorWatcher"]

COMMAND = (sys.executable, "-m", "zmqio.launcher.accept.acceptor")


class AcceptorWatcher(Protocol):
    """Who has to know what becomes of an acceptor."""

    def is_ready(self, acceptor: "AcceptorProcess") -> None:
        """It accepts."""

    def has_lost(self, acceptor: "AcceptorProcess", tag: NodeTag) -> None:
        """Its link to that worker has ended without an order."""


class AcceptorProcess:
    """An acceptor that was started.

    Args:
        number: its number.
        watcher: hears of it.
        process: the process.
        link: this end of its link.

    Attributes:
        was_ready: whether it has ever accepted.
        counters: what its balancer counted; empty until it has ended in order.
        ended: the process has ended, and all that it said was heard.
    """

    def __init__(self, number: int, watcher: AcceptorWatcher, process: Process, link: socket.socket) -> None:
        self.number = number
        self.was_ready = False
        self.counters: Mapping[str, int] = {}
        self.ended = asyncio.Event()
        self._watcher = watcher
        self._process = process
        self._link = AcceptorLink(link, self._heard)
        self._watch = asyncio.get_running_loop().create_task(self._wait())

    @classmethod
    async def start(
        cls, watcher: AcceptorWatcher, listener: socket.socket, part: Callable[[int, int], AcceptorSpec]
    ) -> "AcceptorProcess":
        """Start one.

        Args:
            watcher: hears of it.
            listener: the listening socket; stays open here.
            part: what it has to do, given the file descriptors of that socket and of its link.

        Raises:
            ServeError: the system starts no process.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            fds = (listener.fileno(), theirs.fileno())
            made = part(*fds)
            try:
                # A session of its own: Ctrl-C reaches only the supervisor, which stops in its order.
                process = await asyncio.create_subprocess_exec(
                    *COMMAND,
                    env={**os.environ, ACCEPTOR_ENVIRONMENT: made.to_json()},
                    pass_fds=fds,
                    stdin=DEVNULL,
                    start_new_session=True,
                )
            except OSError as error:
                ours.close()
                raise ServeError(f"cannot start an acceptor: {error}") from error
        return cls(made.number, watcher, process, ours)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    @property
    def ending(self) -> str:
        """How it has ended, in words."""
        return describe_ending(self._process.returncode)

    def order(self, order: Order, passed: socket.socket | None = None) -> None:
        """Send it an order, and a link that is closed here then. One that takes none for too long is killed."""
        if not self._link.order(order, passed):
            self._send_signal(signal.SIGKILL)

    async def stop(self, limit_s: float) -> bool:
        """Let it end behind the orders; after `limit_s` seconds it is killed. Whether it ended by itself."""
        self._send_signal(signal.SIGCONT)  # one that somebody stopped could not see the end
        self._link.finish()
        try:
            await asyncio.wait_for(self.ended.wait(), limit_s)
        except TimeoutError:
            self._send_signal(signal.SIGKILL)
            await self.ended.wait()
            return False
        return True

    def _send_signal(self, number: signal.Signals) -> None:
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):  # it has ended just now
                self._process.send_signal(number)

    async def _wait(self) -> None:
        await self._process.wait()
        self._link.read_rest()
        self._link.close()
        self.ended.set()

    def _heard(self, note: Note) -> None:
        match note:
            case AcceptorReady():
                self.was_ready = True
                self._watcher.is_ready(self)
            case Lost(tag):
                self._watcher.has_lost(self, tag)
            case Counted(counters):
                self.counters = counters
