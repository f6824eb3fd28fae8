"""One acceptor process: `python -m zmqio.launcher.accept.acceptor`, with its part in `ZMQIO_SERVE_ACCEPTOR`.

Accepts connections and gives them to workers, as the supervisor says which there are, and ends with its socket to
the supervisor. It holds nothing that another acceptor would need: connections that it has given are the workers',
and those that it has not accepted wait in the listening socket, which the supervisor has as well.
"""

import asyncio
import os
import socket

import structlog

from zmqio.hosting.event_loop import run as run_on_loop
from zmqio.ids import NodeTag
from zmqio.launcher.accept.acceptor_messages import AcceptorReady, Add, Close, Counted, Lost, Order, Remove, Retire
from zmqio.launcher.accept.balancer import Balancer
from zmqio.launcher.accept.linked_worker import LinkedWorker
from zmqio.launcher.accept.supervisor_link import SupervisorLink
from zmqio.launcher.rlimits import open_many_files
from zmqio.launcher.routing.trusted_proxies import TrustedProxies
from zmqio.launcher.routing.worker_choice import WorkerChoice
from zmqio.launcher.worker.spec import ACCEPTOR_ENVIRONMENT, AcceptorSpec
from zmqio.logs import configure_logs

__all__ = ["Acceptor", "main"]

log = structlog.get_logger(__name__)


class Acceptor:
    """A balancer, and the workers that the supervisor has named; made in the loop. A `LinkWatcher`.

    Args:
        part: what to do.
        listener: the listening socket; closed at the end.
        link: the socket to the supervisor; closed at the end.
    """

    def __init__(self, part: AcceptorSpec, listener: socket.socket, link: socket.socket) -> None:
        listener.setblocking(False)
        self._choice: WorkerChoice[LinkedWorker] = WorkerChoice(part.sticky, after_slot=part.after_slot)
        self._balancer = Balancer(
            listener,
            self._choice,
            proxies=TrustedProxies(part.trusted_proxies),
            reads_heads=part.reads_heads,
            head_limit_s=part.head_limit_s,
        )
        self._workers: dict[NodeTag, LinkedWorker] = {}
        self._is_closing = False
        self._ended = asyncio.Event()
        self._supervisor = SupervisorLink(link, heard=self._obey, ended=self._ended.set)

    async def run(self) -> None:
        """Accept until the supervisor closes its end."""
        self._supervisor.tell(AcceptorReady())
        await self._ended.wait()
        if not self._is_closing:
            log.warning("parent_gone")
        self._balancer.close()
        for worker in list(self._workers.values()):
            worker.close()
        self._supervisor.tell(Counted(self._balancer.counters))
        self._supervisor.close()

    # `LinkWatcher`, for the workers.

    def takes_no_more(self, worker: LinkedWorker) -> None:
        """It stops."""
        self._choice.remove(worker)
        self._choice_changed()

    def has_ended(self, worker: LinkedWorker) -> None:
        """It is gone; or only its link is, and the supervisor will see to another."""
        self.takes_no_more(worker)
        if self._workers.get(worker.tag) is worker:
            del self._workers[worker.tag]
            if not worker.leaves:
                self._supervisor.tell(Lost(worker.tag))

    def _obey(self, order: Order, link: socket.socket | None) -> None:
        match order:
            case Add(slot, tag):
                self._add(slot, tag, link)
            case Retire(tag):
                if (worker := self._workers.get(tag)) is not None:
                    self._choice.retire(worker)
            case Remove(tag):
                if (worker := self._workers.get(tag)) is not None:
                    self._choice.remove(worker)
                    worker.finish()
            case Close():
                self._is_closing = True
                self._balancer.close()
        self._choice_changed()

    def _add(self, slot: int, tag: NodeTag, link: socket.socket | None) -> None:
        if link is None:
            log.error("worker_link_lost_no_more_files", hint="raise the limit of open files (ulimit -n)")
            self._supervisor.tell(Lost(tag))
            return
        self._workers[tag] = worker = LinkedWorker(slot, tag, link, self)
        self._choice.add(worker)

    def _choice_changed(self) -> None:
        if self._choice.open:
            self._balancer.resume()
        else:
            self._balancer.pause()


def main() -> None:
    """Run the acceptor that the environment describes."""
    part = AcceptorSpec.from_json(os.environ.pop(ACCEPTOR_ENVIRONMENT))
    open_many_files()
    configure_logs(part.log_format, part.log_level, process=f"acceptor {part.number}")
    run_on_loop(_run(part))


async def _run(part: AcceptorSpec) -> None:
    await Acceptor(part, socket.socket(fileno=part.listener_fd), socket.socket(fileno=part.link_fd)).run()


if __name__ == "__main__":
    main()
