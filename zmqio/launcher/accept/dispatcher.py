"""The connection dispatcher: accepts connections and passes them to workers, in this process or in acceptors.

Defines the interface that the supervisor and the worker pool use, and its implementation in one process. The
other implementation is `acceptor_pool.AcceptorPool`.
"""

from collections.abc import Mapping
from socket import socket
from typing import Protocol

from zmqio.launcher.accept.balancer import Balancer
from zmqio.launcher.options import ServeOptions
from zmqio.launcher.routing.worker_choice import WorkerChoice
from zmqio.launcher.worker.process import WorkerProcess
from zmqio.trusted_proxies import TrustedProxies

__all__ = ["ConnectionDispatcher", "InProcessDispatcher"]


class ConnectionDispatcher(Protocol):
    """Accepts connections while any worker accepts new sessions, and passes them to workers."""

    @property
    def counters(self) -> Mapping[str, int]:
        """The counters of `Balancer`; complete after `stop`."""

    @property
    def counters_by_acceptor(self) -> Mapping[int, Mapping[str, int]]:
        """The same by the number of the acceptor."""

    def add(self, worker: WorkerProcess) -> None:
        """Make a worker available."""

    def retire(self, worker: WorkerProcess) -> None:
        """Stop choosing a worker for new sessions; requests of its existing sessions still reach it."""

    def suspend(self, worker: WorkerProcess) -> None:
        """Keep connections from a stalled worker. Those of its existing sessions wait for a limited time."""

    def resume(self, worker: WorkerProcess) -> None:
        """Make a suspended worker available again, unless it was retired."""

    def remove(self, worker: WorkerProcess) -> None:
        """Stop choosing a worker at all."""

    async def run(self) -> None:
        """Supervise the dispatcher's own processes until cancelled; return at once if there are none.

        Raises:
            ServeError: a process keeps exiting.
        """

    async def wait_ready(self) -> None:
        """Wait until connections can be accepted."""

    def close(self) -> None:
        """Stop accepting. Connections that were accepted still reach their workers."""

    async def stop(self) -> None:
        """Stop the dispatcher, after `run` was cancelled and all workers have exited."""


class InProcessDispatcher:
    """A dispatcher with one balancer in this process; to be created in the running event loop.

    Args:
        options: options of the server.
        listener: the listening socket; closed with the dispatcher.
    """

    def __init__(self, options: ServeOptions, listener: socket) -> None:
        self._choice: WorkerChoice[WorkerProcess] = WorkerChoice(options.stickiness)
        self._balancer = Balancer(
            listener,
            self._choice,
            proxies=TrustedProxies(options.trusted_proxies),
            reads_heads=not options.tls,
            head_limit_s=options.head_limit_s,
            max_head_bytes=options.max_head_bytes,
        )

    # `ConnectionDispatcher`.

    @property
    def counters(self) -> Mapping[str, int]:
        return self._balancer.counters

    @property
    def counters_by_acceptor(self) -> Mapping[int, Mapping[str, int]]:
        return {1: self._balancer.counters}

    def add(self, worker: WorkerProcess) -> None:
        self._choice.add(worker)
        self._pause_or_resume()

    def retire(self, worker: WorkerProcess) -> None:
        self._choice.retire(worker)
        self._pause_or_resume()

    def suspend(self, worker: WorkerProcess) -> None:
        self._choice.suspend(worker)
        self._pause_or_resume()

    def resume(self, worker: WorkerProcess) -> None:
        self._choice.resume(worker)
        self._balancer.release(worker.tag)
        self._pause_or_resume()

    def remove(self, worker: WorkerProcess) -> None:
        self._choice.remove(worker)
        self._balancer.release(worker.tag)
        self._pause_or_resume()

    async def run(self) -> None:
        return

    async def wait_ready(self) -> None:
        return

    def close(self) -> None:
        self._balancer.close()

    async def stop(self) -> None:
        self._balancer.close()

    def _pause_or_resume(self) -> None:
        if self._choice.accepts_sessions:
            self._balancer.resume()
        else:
            self._balancer.pause()
