"""All workers of a server: starts each with its environment, and stops them together."""

import asyncio
import signal
import sys
from dataclasses import asdict

import structlog

from zmqio.exceptions import ServeError
from zmqio.hosting.options import HttpOptions
from zmqio.launcher.accept.dispatcher import ConnectionDispatcher
from zmqio.launcher.options import ServeOptions, acceptor_count
from zmqio.launcher.tags import TagSource
from zmqio.launcher.worker.process import WorkerProcess
from zmqio.launcher.worker.spec import ENVIRONMENT, WorkerSpec

__all__ = ["WorkerPool"]

log = structlog.get_logger(__name__)


class WorkerPool:
    """The workers that live, whatever slot they are in or leave.

    Args:
        options: of the server.
        broker: address of the broker that the workers join.
        import_path: folder in which they look for modules first.
        front: is told which workers connections can be given to.
    """

    def __init__(self, options: ServeOptions, broker: str, import_path: str, front: ConnectionDispatcher) -> None:
        self._options = options
        self._broker = broker
        self._import_path = import_path
        self._front = front
        self._tags = TagSource(options.node_tag)
        self._workers: set[WorkerProcess] = set()
        self._starting: set[asyncio.Task[WorkerProcess]] = set()
        self._last_traceback = ""
        self._first: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def start(self, slot: int) -> WorkerProcess:
        """Start a worker for a slot, with a tag of its own; returns long before it is ready."""
        task = asyncio.get_running_loop().create_task(self._start(slot))
        self._starting.add(task)
        task.add_done_callback(self._starting.discard)
        return await asyncio.shield(task)  # a process that was started must not be forgotten

    async def first_ready(self) -> None:
        """Wait until any worker is ready.

        Raises:
            ServeError: before that one said that it cannot serve the app, and no change of code is awaited.
        """
        await asyncio.shield(self._first)

    async def stop(self) -> None:
        """Stop all workers, each within its limit."""
        await asyncio.gather(*self._starting, return_exceptions=True)
        limit_s = self._options.stop_limit_s
        workers = list(self._workers)
        for worker, ended in zip(
            workers, await asyncio.gather(*(worker.stop(limit_s) for worker in workers)), strict=True
        ):
            if not ended:
                log.warning("worker_killed", worker=worker.slot, pid=worker.pid, limit_s=limit_s)

    def hurry(self) -> None:
        """Send all workers SIGTERM again: one that drains ends its connections at once then."""
        for worker in self._workers:
            worker.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End all workers at once."""
        for worker in self._workers:
            worker.send_signal(signal.SIGKILL)

    # `Watcher`, for the workers.

    def is_ready(self, worker: WorkerProcess) -> None:
        """Let it be chosen."""
        self._front.add(worker)
        log.info("worker_ready", worker=worker.slot, pid=worker.pid, tag=worker.tag)
        if not self._first.done():
            self._first.set_result(None)

    def takes_no_new(self, worker: WorkerProcess) -> None:
        """Another one follows it."""
        self._front.retire(worker)

    def takes_no_more(self, worker: WorkerProcess) -> None:
        """It stops."""
        self._front.remove(worker)

    def has_ended(self, worker: WorkerProcess) -> None:
        """Its process has ended."""
        self._workers.discard(worker)
        if worker.failure is None:
            return
        if worker.failure.traceback not in ("", self._last_traceback):
            self._last_traceback = worker.failure.traceback
            sys.stderr.write(worker.failure.traceback)
        if not self._first.done() and not self._options.reload:
            self._first.set_exception(ServeError(worker.failure.reason))
        elif not self._first.done() or self._first.exception() is None:  # else: the same is said already
            log.error("worker_cannot_serve", worker=worker.slot, pid=worker.pid, reason=worker.failure.reason)

    async def _start(self, slot: int) -> WorkerProcess:
        tag = self._tags.draw()

        def environment(link_fd: int) -> dict[str, str]:
            return {
                "ZMQIO_ADAPTER": self._broker,
                "ZMQIO_NODE_TAG": tag,
                "ZMQIO_DRAIN_S": str(self._options.drain_s),
                ENVIRONMENT: self._part(slot, link_fd).to_json(),
            }

        worker = await WorkerProcess.start(slot, tag, self, environment)
        self._workers.add(worker)
        return worker

    def _part(self, slot: int, link_fd: int) -> WorkerSpec:
        options = self._options
        http = HttpOptions(options.trusted_proxies, options.ssl_certfile, options.ssl_keyfile)
        return WorkerSpec(
            app=options.app,
            slot=slot,
            link_fd=link_fd,
            import_path=self._import_path,
            stop_limit_s=options.stop_limit_s,
            http=asdict(http),
            takes_links=acceptor_count(options) > 1,
            log_format=options.log_format,
            log_level=options.log_level,
        )
