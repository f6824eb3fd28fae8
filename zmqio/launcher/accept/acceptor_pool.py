"""Several processes that accept: keeps them running, and tells each which workers there are.

Every acceptor has a listening socket of its own, which stays open here as well: what waits in it outlives the
acceptor. Between each acceptor and each worker there is a link, a pair of sockets made here, one end for each.
"""

import asyncio
import socket
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial

import structlog

from zmqio.exceptions import ServeError
from zmqio.ids import NodeTag
from zmqio.launcher.accept.acceptor_messages import Add, Close, Remove, Retire
from zmqio.launcher.accept.acceptor_process import AcceptorProcess
from zmqio.launcher.options import ServeOptions, worker_count
from zmqio.launcher.restarts import Restarts
from zmqio.launcher.worker.process import WorkerProcess
from zmqio.launcher.worker.spec import AcceptorSpec

__all__ = ["AcceptorPool"]

log = structlog.get_logger(__name__)

STOP_LIMIT_S = 5.0
RELINK_PAUSE_S = 0.5
"""How long after a link was lost another one is made, if the worker lives."""


class AcceptorPool:
    """A `Front` of several processes; made in the loop.

    Args:
        options: of the server.
        listeners: a listening socket for each; closed with it.
    """

    def __init__(self, options: ServeOptions, listeners: Sequence[socket.socket]) -> None:
        self._options = options
        self._listeners = listeners
        self._workers: dict[NodeTag, WorkerProcess] = {}
        self._retired: set[NodeTag] = set()
        self._acceptors: dict[int, AcceptorProcess] = {}
        self._starting: set[asyncio.Task[AcceptorProcess]] = set()
        self._counters: Counter[str] = Counter()
        self._is_closing = False
        self._all_ready = asyncio.Event()

    # `Front`.

    @property
    def counters(self) -> Mapping[str, int]:
        """Sums; what an acceptor has counted that ended unasked is not in them."""
        return self._counters

    def add(self, worker: WorkerProcess) -> None:
        self._workers[worker.tag] = worker
        for acceptor in self._acceptors.values():
            self._introduce(acceptor, worker.tag)

    def retire(self, worker: WorkerProcess) -> None:
        if worker.tag in self._workers:
            self._retired.add(worker.tag)
            for acceptor in self._acceptors.values():
                acceptor.order(Retire(worker.tag))

    def remove(self, worker: WorkerProcess) -> None:
        if self._workers.pop(worker.tag, None) is not None:
            self._retired.discard(worker.tag)
            for acceptor in self._acceptors.values():
                acceptor.order(Remove(worker.tag))

    async def keep(self) -> None:
        await asyncio.gather(*(self._keep(number) for number in range(1, len(self._listeners) + 1)))

    async def ready(self) -> None:
        await self._all_ready.wait()

    def close(self) -> None:
        if self._is_closing:
            return
        self._is_closing = True
        for listener in self._listeners:
            listener.close()
        for acceptor in self._acceptors.values():
            acceptor.order(Close())

    async def stop(self) -> None:
        self.close()
        await asyncio.gather(*self._starting, return_exceptions=True)
        acceptors = list(self._acceptors.values())
        for acceptor, ended in zip(
            acceptors, await asyncio.gather(*(each.stop(STOP_LIMIT_S) for each in acceptors)), strict=True
        ):
            self._counters.update(acceptor.counters)
            if not ended:
                log.warning("acceptor_killed", acceptor=acceptor.number, pid=acceptor.pid, limit_s=STOP_LIMIT_S)

    # `AcceptorWatcher`, for the acceptors.

    def is_ready(self, acceptor: AcceptorProcess) -> None:
        """It accepts."""
        log.info("acceptor_ready", acceptor=acceptor.number, pid=acceptor.pid)
        if len(self._acceptors) == len(self._listeners) and all(a.was_ready for a in self._acceptors.values()):
            self._all_ready.set()

    def has_lost(self, acceptor: AcceptorProcess, tag: NodeTag) -> None:
        """Link it to that worker again, if that lives; mostly it has just died."""
        asyncio.get_running_loop().call_later(RELINK_PAUSE_S, self._introduce, acceptor, tag)

    async def _keep(self, number: int) -> None:
        """Keep an acceptor running; ends only by cancellation or an error."""
        restarts = Restarts()
        while True:
            task = asyncio.get_running_loop().create_task(self._start(number))
            self._starting.add(task)
            task.add_done_callback(self._starting.discard)
            acceptor = await asyncio.shield(task)  # a process that was started must not be forgotten
            await acceptor.ended.wait()
            log.error("acceptor_ended", acceptor=number, pid=acceptor.pid, ending=acceptor.ending)
            del self._acceptors[number]
            delay_s = restarts.ended(asyncio.get_running_loop().time(), was_ready=acceptor.was_ready)
            if delay_s is None:
                raise ServeError(
                    f"giving up: acceptor {number} ends again and again; the last time: {acceptor.ending}"
                )
            await asyncio.sleep(delay_s)

    async def _start(self, number: int) -> AcceptorProcess:
        if self._is_closing:
            raise ServeError("it stops")  # to nobody: whoever asked for this acceptor is cancelled
        acceptor = await AcceptorProcess.start(self, self._listeners[number - 1], partial(self._part, number))
        self._acceptors[number] = acceptor
        for tag in self._workers:
            self._introduce(acceptor, tag)
        if self._is_closing:
            acceptor.order(Close())
        return acceptor

    def _introduce(self, acceptor: AcceptorProcess, tag: NodeTag) -> None:
        """Make a link between the two, unless one has ended."""
        worker = self._workers.get(tag)
        if worker is None or acceptor.ended.is_set():
            return
        try:
            acceptors_end, workers_end = socket.socketpair()
        except OSError as error:
            facts = {"acceptor": acceptor.number, "worker": worker.slot, "error": error.strerror}
            log.warning("cannot_link", **facts, hint="raise the limit of open files (ulimit -n)")
            self.has_lost(acceptor, tag)
            return
        if not worker.give(workers_end):  # it ends
            acceptors_end.close()
            workers_end.close()
            return
        acceptor.order(Add(worker.slot, tag), acceptors_end)
        if tag in self._retired:
            acceptor.order(Retire(tag))

    def _part(self, number: int, listener_fd: int, link_fd: int) -> AcceptorSpec:
        options = self._options
        return AcceptorSpec(
            number=number,
            listener_fd=listener_fd,
            link_fd=link_fd,
            sticky=options.stickiness,
            after_slot=(number - 1) * worker_count(options) // len(self._listeners),
            reads_heads=not options.tls,
            head_limit_s=options.head_limit_s,
            trusted_proxies=options.trusted_proxies,
            log_format=options.log_format,
            log_level=options.log_level,
        )
