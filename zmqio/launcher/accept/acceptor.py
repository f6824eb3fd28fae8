"""An acceptor process: `python -m zmqio.launcher.accept.acceptor`, with its spec in `ZMQIO_SERVE_ACCEPTOR`.

Accepts connections and passes them to the workers that the supervisor has announced. Exits when its socket to the
supervisor ends. An acceptor keeps no state that another one needs: connections that it has passed on belong to the
workers, and those not yet accepted wait in the listening socket, which the supervisor keeps open, too.
"""

import asyncio
import contextlib
import os
import socket
from typing import TypeAlias

from zmqio.hosting.event_loop import run as run_on_loop
from zmqio.ids import NodeTag
from zmqio.launcher.accept.acceptor_messages import (
    AcceptorCounters,
    AcceptorReady,
    AddWorker,
    RemoveWorker,
    ResumeWorker,
    RetireWorker,
    StopAccepting,
    SupervisorMessage,
    SuspendWorker,
    WorkerLinkLost,
)
from zmqio.launcher.accept.balancer import Balancer
from zmqio.launcher.accept.linked_worker import LinkedWorker
from zmqio.launcher.accept.supervisor_link import SupervisorLink
from zmqio.launcher.rlimits import raise_open_files_limit
from zmqio.launcher.routing.worker_choice import WorkerChoice
from zmqio.launcher.silence import HEARTBEAT_S
from zmqio.launcher.worker.spec import ACCEPTOR_SPEC_VARIABLE, AcceptorSpec
from zmqio.logger import get_logger
from zmqio.logs import configure_logs
from zmqio.timer_grid import next_on_grid
from zmqio.trusted_proxies import TrustedProxies

__all__ = ["Acceptor", "main"]

log = get_logger(__name__)

WorkerChange: TypeAlias = RetireWorker | SuspendWorker | ResumeWorker | RemoveWorker


class Acceptor:
    """A balancer and the workers announced by the supervisor. A `LinkedWorkerObserver`.

    To be created in the running event loop.

    Args:
        spec: the settings.
        listener: the listening socket; closed at the end.
        link: the socket to the supervisor; closed at the end.
    """

    def __init__(self, spec: AcceptorSpec, listener: socket.socket, link: socket.socket) -> None:
        listener.setblocking(False)
        self._choice: WorkerChoice[LinkedWorker] = WorkerChoice(spec.sticky, after_slot=spec.after_slot)
        self._balancer = Balancer(
            listener,
            self._choice,
            proxies=TrustedProxies(spec.trusted_proxies),
            reads_heads=spec.reads_heads,
            head_limit_s=spec.head_limit_s,
            max_head_bytes=spec.max_head_bytes,
        )
        self._workers: dict[NodeTag, LinkedWorker] = {}
        self._is_closing = False
        self._ended = asyncio.Event()
        self._supervisor = SupervisorLink(link, on_message=self._handle, on_end=self._ended.set)

    async def run(self) -> None:
        """Accept connections until the supervisor closes its end of the link."""
        self._supervisor.send(AcceptorReady())
        while not await self._has_ended():
            self._supervisor.send_heartbeat(AcceptorCounters(self._balancer.counters))
        if not self._is_closing:
            log.warning("parent_lost")
        self._balancer.close()
        for worker in list(self._workers.values()):
            worker.close()
        self._supervisor.send(AcceptorCounters(self._balancer.counters))
        self._supervisor.close()

    async def _has_ended(self) -> bool:
        """Wait for the end of the link to the supervisor, at most for the time between two heartbeats."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(next_on_grid(asyncio.get_running_loop().time(), HEARTBEAT_S)):
                await self._ended.wait()
        return self._ended.is_set()

    # `LinkedWorkerObserver`.

    def worker_stopping(self, worker: LinkedWorker) -> None:
        """Stop choosing the worker."""
        self._remove(worker)
        self._pause_or_resume()

    def worker_link_ended(self, worker: LinkedWorker) -> None:
        """Forget the worker. Report an unexpected end, so that the supervisor can create another link."""
        self.worker_stopping(worker)
        if self._workers.get(worker.tag) is worker:
            del self._workers[worker.tag]
            if not worker.is_leaving:
                self._supervisor.send(WorkerLinkLost(worker.tag))

    def _handle(self, message: SupervisorMessage, link: socket.socket | None) -> None:
        match message:
            case AddWorker(slot, tag):
                self._add_worker(slot, tag, link)
            case StopAccepting():
                self._is_closing = True
                self._balancer.close()
            case _:
                if (worker := self._workers.get(message.tag)) is not None:
                    self._change(worker, message)
        self._pause_or_resume()

    def _change(self, worker: LinkedWorker, message: WorkerChange) -> None:
        match message:
            case RetireWorker():
                self._choice.retire(worker)
            case SuspendWorker():
                self._choice.suspend(worker)
            case ResumeWorker():
                self._choice.resume(worker)
                self._balancer.release(worker.tag)
            case RemoveWorker():
                self._remove(worker)
                worker.finish()

    def _remove(self, worker: LinkedWorker) -> None:
        self._choice.remove(worker)
        self._balancer.release(worker.tag)

    def _add_worker(self, slot: int, tag: NodeTag, link: socket.socket | None) -> None:
        if link is None:
            log.error(
                "worker_link_dropped", tag=tag, reason="too many open files", hint="raise the limit (ulimit -n)"
            )
            self._supervisor.send(WorkerLinkLost(tag))
            return
        self._workers[tag] = worker = LinkedWorker(slot, tag, link, self)
        self._choice.add(worker)

    def _pause_or_resume(self) -> None:
        if self._choice.accepts_sessions:
            self._balancer.resume()
        else:
            self._balancer.pause()


def main() -> None:
    """Run the acceptor that the environment describes."""
    spec = AcceptorSpec.from_json(os.environ.pop(ACCEPTOR_SPEC_VARIABLE))
    raise_open_files_limit()
    configure_logs(spec.log_format, spec.log_level, process=f"acceptor {spec.number}")
    run_on_loop(_run(spec))


async def _run(spec: AcceptorSpec) -> None:
    await Acceptor(spec, socket.socket(fileno=spec.listener_fd), socket.socket(fileno=spec.link_fd)).run()


if __name__ == "__main__":
    main()
