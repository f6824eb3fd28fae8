"""All workers of a server: start each one with its environment, and stop them together."""

import asyncio
import contextlib
import signal
from collections.abc import Sequence
from dataclasses import asdict

from zmqio.exceptions import ServeError
from zmqio.hosting.options import HttpOptions
from zmqio.launcher.accept.dispatcher import ConnectionDispatcher
from zmqio.launcher.metrics.serve_metrics import ServeMetrics
from zmqio.launcher.options import ServeOptions, acceptor_count
from zmqio.launcher.silence import until_next_check
from zmqio.launcher.tags import TagSource
from zmqio.launcher.worker.process import WorkerProcess
from zmqio.launcher.worker.spec import WORKER_SPEC_VARIABLE, WorkerSpec
from zmqio.logger import get_logger
from zmqio.logs import print_error
from zmqio.metrics.samples import Sample
from zmqio.zeromq.curve import SECRET_FILE_VARIABLE, SERVER_KEY_VARIABLE

__all__ = ["WorkerPool"]

log = get_logger(__name__)

WITHOUT_KEYS = {SERVER_KEY_VARIABLE: "", SECRET_FILE_VARIABLE: ""}
"""For workers that join a broker of their own, which requires no keys."""


class WorkerPool:
    """All running workers, including those being replaced. A `WorkerObserver`.

    Args:
        options: options of the server.
        broker: address of the broker that the workers join.
        import_path: folder in which workers look for modules first.
        dispatcher: informed which workers accept connections.
        metrics: informed of the state and the metrics of the workers.
    """

    def __init__(
        self,
        options: ServeOptions,
        broker: str,
        import_path: str,
        dispatcher: ConnectionDispatcher,
        metrics: ServeMetrics,
    ) -> None:
        self._options = options
        self._broker = broker
        self._import_path = import_path
        self._dispatcher = dispatcher
        self._metrics = metrics
        self._tags = TagSource(options.node_tag)
        self._workers: set[WorkerProcess] = set()
        self._starting: set[asyncio.Task[WorkerProcess]] = set()
        self._last_traceback = ""
        self._ready = 0
        self._ready_changed = asyncio.Event()
        self._first_ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def start(self, slot: int) -> WorkerProcess:
        """Start a worker with a new tag in a slot; return as soon as the process exists, before it is ready."""
        task = asyncio.get_running_loop().create_task(self._start(slot))
        self._starting.add(task)
        task.add_done_callback(self._starting.discard)
        return await asyncio.shield(task)  # a cancelled caller must not lose track of the process

    async def wait_first_ready(self) -> None:
        """Wait until any worker is ready.

        Raises:
            ServeError: before that, a worker reported that it cannot serve the app. Not with `reload`, where the
                next change of the code may help.
        """
        await asyncio.shield(self._first_ready)

    async def wait_ready(self, count: int, limit_s: float) -> None:
        """Wait until `count` workers have been ready since the start, at most `limit_s` seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(limit_s):
                while self._ready < count:
                    self._ready_changed.clear()
                    await self._ready_changed.wait()

    async def watch(self) -> None:
        """Check that the workers send heartbeats, and kill one that times out; runs until cancelled."""
        timeout_s = 0.0 if self._options.reload else self._options.worker_timeout_s
        while True:
            await until_next_check()
            for worker in tuple(self._workers):
                worker.check()
                if timeout_s and worker.silent_s >= timeout_s:
                    log.error("worker_timed_out", worker=worker.slot, pid=worker.pid, timeout_s=timeout_s)
                    worker.kill()

    async def stop(self) -> None:
        """Stop all workers, each within its time-out."""
        await asyncio.gather(*self._starting, return_exceptions=True)
        timeout_s = self._options.stop_timeout_s
        workers = list(self._workers)
        for worker, in_time in zip(
            workers, await asyncio.gather(*(worker.stop(timeout_s) for worker in workers)), strict=True
        ):
            if not in_time:
                log.warning("worker_killed", worker=worker.slot, pid=worker.pid, timeout_s=timeout_s)

    def cancel_drain(self) -> None:
        """Send all workers another SIGTERM, which makes a draining worker close its connections at once."""
        for worker in self._workers:
            worker.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send all workers SIGKILL."""
        for worker in self._workers:
            worker.send_signal(signal.SIGKILL)

    # `WorkerObserver`.

    def worker_ready(self, worker: WorkerProcess) -> None:
        """Let the dispatcher choose the worker."""
        self._dispatcher.add(worker)
        self._metrics.worker_available(worker.slot, worker.tag, is_available=True)
        self._ready += 1
        self._ready_changed.set()
        log.info("worker_started", worker=worker.slot, pid=worker.pid, tag=worker.tag)
        if not self._first_ready.done():
            self._first_ready.set_result(None)

    def worker_retired(self, worker: WorkerProcess) -> None:
        """Keep new sessions from the worker."""
        self._dispatcher.retire(worker)

    def worker_stalled(self, worker: WorkerProcess) -> None:
        """Keep connections from the worker until it recovers."""
        self._dispatcher.suspend(worker)
        self._metrics.worker_available(worker.slot, worker.tag, is_available=False)
        timeout_s = self._options.worker_timeout_s
        log.warning(
            "worker_stalled", worker=worker.slot, pid=worker.pid, silent_s=worker.silent_s, timeout_s=timeout_s
        )

    def worker_recovered(self, worker: WorkerProcess) -> None:
        """Let the dispatcher choose the worker again."""
        self._dispatcher.resume(worker)
        self._metrics.worker_available(worker.slot, worker.tag, is_available=True)
        log.info("worker_recovered", worker=worker.slot, pid=worker.pid)

    def worker_counted(self, worker: WorkerProcess, samples: Sequence[Sample]) -> None:
        """Record the metrics of the worker."""
        self._metrics.worker_counted(worker.slot, worker.tag, samples)

    def worker_stopping(self, worker: WorkerProcess) -> None:
        """Keep all connections from the worker."""
        self._dispatcher.remove(worker)
        self._metrics.worker_available(worker.slot, worker.tag, is_available=False)

    def worker_exited(self, worker: WorkerProcess) -> None:
        """Forget the worker. If it has reported why it cannot serve, log that."""
        self._workers.discard(worker)
        self._metrics.worker_exited(worker.slot, worker.tag, was_stopped=worker.was_stopped)
        if worker.failure is None:
            return
        if worker.failure.traceback not in ("", self._last_traceback):
            self._last_traceback = worker.failure.traceback
            print_error(worker.failure.traceback)
        if not self._first_ready.done() and not self._options.reload:
            self._first_ready.set_exception(ServeError(worker.failure.reason))
        elif not self._first_ready.done() or self._first_ready.exception() is None:  # else reported already
            log.error("worker_failed", worker=worker.slot, pid=worker.pid, reason=worker.failure.reason)

    async def _start(self, slot: int) -> WorkerProcess:
        tag = self._tags.new_tag()

        def environment(link_fd: int) -> dict[str, str]:
            return {
                "ZMQIO_ADAPTER": self._broker,
                **({} if self._options.broker else WITHOUT_KEYS),
                "ZMQIO_NODE_TAG": tag,
                "ZMQIO_DRAIN_S": str(self._options.drain_s),
                "FORWARDED_ALLOW_IPS": self._options.trusted_proxies,
                "ZMQIO_HEAD_LIMIT_S": str(self._options.head_limit_s),
                "ZMQIO_MAX_HEAD_BYTES": str(self._options.max_head_bytes),
                WORKER_SPEC_VARIABLE: self._spec(slot, link_fd).to_json(),
            }

        worker = await WorkerProcess.start(slot, tag, self, environment)
        self._workers.add(worker)
        self._metrics.worker_started(slot)
        return worker

    def _spec(self, slot: int, link_fd: int) -> WorkerSpec:
        options = self._options
        http = HttpOptions(
            options.trusted_proxies, options.ssl_certfile, options.ssl_keyfile, access_log=options.access_log
        )
        return WorkerSpec(
            app=options.app,
            slot=slot,
            link_fd=link_fd,
            import_path=self._import_path,
            stop_timeout_s=options.stop_timeout_s,
            http=asdict(http),
            receives_links=acceptor_count(options) > 1,
            reports_metrics=bool(options.metrics),
            log_format=options.log_format,
            log_level=options.log_level,
        )
