"""Keeps several acceptor processes running and informs each of them which workers are available.

Each acceptor has a listening socket of its own. The socket stays open in this process, so connections that wait in
it survive a crash of the acceptor. Each acceptor is linked to each worker by a socket pair created here.
"""

import asyncio
import socket
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial

from zmqio.exceptions import ServeError
from zmqio.ids import NodeTag
from zmqio.launcher.accept.acceptor_messages import (
    AddWorker,
    RemoveWorker,
    ResumeWorker,
    RetireWorker,
    StopAccepting,
    SupervisorMessage,
    SuspendWorker,
)
from zmqio.launcher.accept.acceptor_process import AcceptorProcess
from zmqio.launcher.options import ServeOptions, worker_count
from zmqio.launcher.restarts import RestartPolicy
from zmqio.launcher.silence import until_next_check
from zmqio.launcher.worker.process import WorkerProcess
from zmqio.launcher.worker.spec import AcceptorSpec
from zmqio.logger import get_logger

__all__ = ["AcceptorPool"]

log = get_logger(__name__)

STOP_TIMEOUT_S = 5.0
"""Seconds that an acceptor may take to exit; after that it is killed."""
ACCEPTOR_TIMEOUT_S = 10.0
"""Seconds without a heartbeat after which an acceptor is killed and replaced. An acceptor runs no code of the
application, so a silent one has been stopped. Long enough that these replacements never count as a crash loop (see
`RestartPolicy`)."""
RELINK_DELAY_S = 0.5
"""Seconds between the loss of a link and the next one, if the worker is still running."""


class AcceptorPool:
    """A `ConnectionDispatcher` of several processes and an `AcceptorObserver`.

    To be created in the running event loop.

    Args:
        options: options of the server.
        listeners: one listening socket per acceptor; closed with the pool.
    """

    def __init__(self, options: ServeOptions, listeners: Sequence[socket.socket]) -> None:
        self._options = options
        self._listeners = listeners
        self._workers: dict[NodeTag, WorkerProcess] = {}
        self._retired: set[NodeTag] = set()
        self._suspended: set[NodeTag] = set()
        self._acceptors: dict[int, AcceptorProcess] = {}
        self._starting: set[asyncio.Task[AcceptorProcess]] = set()
        self._ended: dict[int, Counter[str]] = {n: Counter() for n in range(1, len(listeners) + 1)}
        self._is_closing = False
        self._all_ready = asyncio.Event()

    # `ConnectionDispatcher`.

    @property
    def counters(self) -> Mapping[str, int]:
        """Sums over the acceptors; of one that crashed, as of its last heartbeat."""
        return sum((Counter(counters) for counters in self.counters_by_acceptor.values()), Counter())

    @property
    def counters_by_acceptor(self) -> Mapping[int, Mapping[str, int]]:
        """The counters of each acceptor and its predecessors, as of the last heartbeat."""
        found = {number: Counter(counters) for number, counters in self._ended.items()}
        for number, acceptor in self._acceptors.items():
            found[number].update(acceptor.counters)
        return found

    def add(self, worker: WorkerProcess) -> None:
        self._workers[worker.tag] = worker
        for acceptor in self._acceptors.values():
            self._link(acceptor, worker.tag)

    def retire(self, worker: WorkerProcess) -> None:
        if worker.tag in self._workers:
            self._retired.add(worker.tag)
            self._send_all(RetireWorker(worker.tag))

    def suspend(self, worker: WorkerProcess) -> None:
        if worker.tag in self._workers:
            self._suspended.add(worker.tag)
            self._send_all(SuspendWorker(worker.tag))

    def resume(self, worker: WorkerProcess) -> None:
        if worker.tag in self._suspended:
            self._suspended.discard(worker.tag)
            self._send_all(ResumeWorker(worker.tag))

    def remove(self, worker: WorkerProcess) -> None:
        if self._workers.pop(worker.tag, None) is not None:
            self._retired.discard(worker.tag)
            self._suspended.discard(worker.tag)
            self._send_all(RemoveWorker(worker.tag))

    async def run(self) -> None:
        numbers = range(1, len(self._listeners) + 1)
        await asyncio.gather(self._watch(), *(self._supervise(number) for number in numbers))

    async def wait_ready(self) -> None:
        await self._all_ready.wait()

    def close(self) -> None:
        if self._is_closing:
            return
        self._is_closing = True
        for listener in self._listeners:
            listener.close()
        self._send_all(StopAccepting())

    async def stop(self) -> None:
        self.close()
        await asyncio.gather(*self._starting, return_exceptions=True)
        acceptors = list(self._acceptors.values())
        for acceptor, in_time in zip(
            acceptors, await asyncio.gather(*(each.stop(STOP_TIMEOUT_S) for each in acceptors)), strict=True
        ):
            if not in_time:
                log.warning(
                    "acceptor_killed", acceptor=acceptor.number, pid=acceptor.pid, timeout_s=STOP_TIMEOUT_S
                )

    # `AcceptorObserver`.

    def acceptor_ready(self, acceptor: AcceptorProcess) -> None:
        """Count the acceptor as ready."""
        log.info("acceptor_started", acceptor=acceptor.number, pid=acceptor.pid)
        if len(self._acceptors) == len(self._listeners) and all(a.was_ready for a in self._acceptors.values()):
            self._all_ready.set()

    def worker_link_lost(self, acceptor: AcceptorProcess, tag: NodeTag) -> None:
        """Create another link after a delay, unless the worker has exited by then, as in most cases."""
        asyncio.get_running_loop().call_later(RELINK_DELAY_S, self._link, acceptor, tag)

    async def _watch(self) -> None:
        """Kill an acceptor that sends no heartbeats; runs until cancelled."""
        while True:
            await until_next_check()
            for acceptor in self._acceptors.values():
                acceptor.check()
                if acceptor.silent_s >= ACCEPTOR_TIMEOUT_S:
                    facts = {"acceptor": acceptor.number, "pid": acceptor.pid}
                    log.error("acceptor_timed_out", **facts, timeout_s=ACCEPTOR_TIMEOUT_S)
                    acceptor.kill()

    def _send_all(self, message: SupervisorMessage) -> None:
        for acceptor in self._acceptors.values():
            acceptor.send(message)

    async def _supervise(self, number: int) -> None:
        """Start an acceptor, and restart it whenever it exits; runs until cancelled."""
        restarts = RestartPolicy()
        while True:
            task = asyncio.get_running_loop().create_task(self._start(number))
            self._starting.add(task)
            task.add_done_callback(self._starting.discard)
            acceptor = await asyncio.shield(task)  # a cancelled caller must not lose track of the process
            await acceptor.exited.wait()
            log.error("acceptor_exited", acceptor=number, pid=acceptor.pid, exit_status=acceptor.exit_status)
            del self._acceptors[number]
            self._ended[number].update(acceptor.counters)
            delay_s = restarts.record_exit(asyncio.get_running_loop().time(), was_ready=acceptor.was_ready)
            if delay_s is None:
                raise ServeError(f"giving up: acceptor {number} keeps exiting; last time: {acceptor.exit_status}")
            await asyncio.sleep(delay_s)

    async def _start(self, number: int) -> AcceptorProcess:
        if self._is_closing:
            raise ServeError("cannot start an acceptor: the server is stopping")  # its caller was cancelled
        acceptor = await AcceptorProcess.start(self, self._listeners[number - 1], partial(self._spec, number))
        self._acceptors[number] = acceptor
        for tag in self._workers:
            self._link(acceptor, tag)
        if self._is_closing:
            acceptor.send(StopAccepting())
        return acceptor

    def _link(self, acceptor: AcceptorProcess, tag: NodeTag) -> None:
        """Link an acceptor and a worker, unless one of them has exited."""
        worker = self._workers.get(tag)
        if worker is None or acceptor.exited.is_set():
            return
        try:
            acceptors_end, workers_end = socket.socketpair()
        except OSError as error:
            facts = {"acceptor": acceptor.number, "worker": worker.slot, "error": error.strerror}
            log.warning("worker_link_failed", **facts, hint="raise the limit of open files (ulimit -n)")
            self.worker_link_lost(acceptor, tag)
            return
        if not worker.pass_socket(workers_end):  # the worker is exiting
            acceptors_end.close()
            workers_end.close()
            return
        acceptor.send(AddWorker(worker.slot, tag), acceptors_end)
        if tag in self._retired:
            acceptor.send(RetireWorker(tag))
        if tag in self._suspended:
            acceptor.send(SuspendWorker(tag))

    def _spec(self, number: int, listener_fd: int, link_fd: int) -> AcceptorSpec:
        options = self._options
        return AcceptorSpec(
            number=number,
            listener_fd=listener_fd,
            link_fd=link_fd,
            sticky=options.stickiness,
            after_slot=(number - 1) * worker_count(options) // len(self._listeners),
            reads_heads=not options.tls,
            head_limit_s=options.head_limit_s,
            max_head_bytes=options.max_head_bytes,
            trusted_proxies=options.trusted_proxies,
            log_format=options.log_format,
            log_level=options.log_level,
        )
