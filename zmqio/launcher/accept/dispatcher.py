"""What stands between the port and the workers, as the supervisor and its crew use it; and the simpler of the two.

The other one is `acceptors.Acceptors`.
"""

from collections.abc import Mapping
from socket import socket
from typing import Protocol

from zmqio.launcher.accept.balancer import Balancer
from zmqio.launcher.options import ServeOptions
from zmqio.launcher.routing.trusted_proxies import TrustedProxies
from zmqio.launcher.routing.worker_choice import WorkerChoice
from zmqio.launcher.worker.process import WorkerProcess

__all__ = ["ConnectionDispatcher", "InProcessDispatcher"]


class ConnectionDispatcher(Protocol):
    """Accepts connections while any worker takes new ones, and gives them to workers."""

    @property
    def counters(self) -> Mapping[str, int]:
        """What happened how often (see `Balancer`); complete when it has stopped."""

    def add(self, worker: WorkerProcess) -> None:
        """A worker is ready."""

    def retire(self, worker: WorkerProcess) -> None:
        """It gets no new session any more; the requests of those that it has still reach it."""

    def remove(self, worker: WorkerProcess) -> None:
        """It gets nothing any more."""

    async def keep(self) -> None:
        """Run what it needs; ends by cancellation, or at once if there is nothing.

        Raises:
            ServeError: that ended so often that running it again makes no sense.
        """

    async def ready(self) -> None:
        """Wait until it would accept."""

    def close(self) -> None:
        """Accept no more. What was accepted, and is on its way to a worker, still reaches it."""

    async def stop(self) -> None:
        """End it, when `keep` has been cancelled and no worker is left."""


class InProcessDispatcher:
    """One balancer, in this process; made in the loop.

    Args:
        options: of the server.
        listener: the listening socket; closed with it.
    """

    def __init__(self, options: ServeOptions, listener: socket) -> None:
        self._choice: WorkerChoice[WorkerProcess] = WorkerChoice(options.stickiness)
        self._balancer = Balancer(
            listener,
            self._choice,
            proxies=TrustedProxies(options.trusted_proxies),
            reads_heads=not options.tls,
            head_limit_s=options.head_limit_s,
        )

    # `ConnectionDispatcher`.

    @property
    def counters(self) -> Mapping[str, int]:
        return self._balancer.counters

    def add(self, worker: WorkerProcess) -> None:
        self._choice.add(worker)
        self._choice_changed()

    def retire(self, worker: WorkerProcess) -> None:
        self._choice.retire(worker)
        self._choice_changed()

    def remove(self, worker: WorkerProcess) -> None:
        self._choice.remove(worker)
        self._choice_changed()

    async def keep(self) -> None:
        return

    async def ready(self) -> None:
        return

    def close(self) -> None:
        self._balancer.close()

    async def stop(self) -> None:
        self._balancer.close()

    def _choice_changed(self) -> None:
        if self._choice.open:
            self._balancer.resume()
        else:
            self._balancer.pause()
