"""The parent process of `zmqio serve`: supervises workers, acceptors and, when none was given, a broker.

The supervisor stops the listening sockets first, then the workers, then the broker, through which the workers say
goodbye. With a drain, it accepts connections until the workers have disconnected their clients.
"""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from socket import socket
from typing import Any

from zmqio.buses import addresses_of
from zmqio.launcher.accept.acceptor_pool import AcceptorPool
from zmqio.launcher.accept.dispatcher import ConnectionDispatcher, InProcessDispatcher
from zmqio.launcher.broker_process import BrokerProcess
from zmqio.launcher.code_watcher import watch_code
from zmqio.launcher.listener import listener_url
from zmqio.launcher.metrics.endpoint import serve_metrics, watch_broker
from zmqio.launcher.metrics.serve_metrics import ServeMetrics
from zmqio.launcher.options import ServeOptions, worker_count
from zmqio.launcher.slot import WorkerSlot
from zmqio.launcher.worker_pool import WorkerPool
from zmqio.logger import get_logger

__all__ = ["Supervisor"]

log = get_logger(__name__)

ALL_READY_LIMIT_S = 10.0
"""Seconds after the first worker that the others may take until the server is logged as started without them."""
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Supervisor:
    """Runs a server once; to be created in the running event loop.

    Args:
        options: options of the server.
        listeners: one listening socket per acceptor (see `listen_group`); closed at the end.
        import_path: folder in which workers look for modules first.
        metrics_listener: a listening socket for the metrics, or None; closed at the end.
    """

    def __init__(
        self,
        options: ServeOptions,
        listeners: Sequence[socket],
        import_path: str,
        metrics_listener: socket | None = None,
    ) -> None:
        self._options = options
        self._url = listener_url(listeners[0], tls=options.tls)
        self._acceptor_count = len(listeners)
        self._dispatcher: ConnectionDispatcher = (
            AcceptorPool(options, listeners) if len(listeners) > 1 else InProcessDispatcher(options, listeners[0])
        )
        self._metrics_listener = metrics_listener
        self._metrics = ServeMetrics(
            worker_count(options),
            lambda: self._dispatcher.counters_by_acceptor,
            asyncio.get_running_loop().time,
        )
        self._broker = (
            BrokerProcess(options.log_format, options.log_level, self._metrics.broker_started)
            if options.broker is None
            else None
        )
        self._workers = WorkerPool(options, self._broker_address, import_path, self._dispatcher, self._metrics)
        self._slots = [self._make_slot(number) for number in range(1, worker_count(options) + 1)]
        self._stop_signals = 0
        self._stop_requested = asyncio.Event()
        self._restart_requested = asyncio.Event()

    async def run(self) -> None:
        """Serve until SIGINT or SIGTERM.

        Raises:
            ServeError: the app cannot be served, or workers, acceptors or the broker keep exiting.
        """
        async with _signal_handlers(self._on_stop_signal, self._restart_requested.set):
            try:
                if self._broker is not None:
                    await self._broker.start()
                await self._serve()
            finally:
                if not self._options.drain_s:
                    self._dispatcher.close()
                # With a drain, clients may open new connections until their worker has stopped.
                await self._workers.stop()
                await self._dispatcher.stop()
                if self._broker is not None:
                    await self._broker.stop()
        log.info("server_stopped", **self._dispatcher.counters)

    async def _serve(self) -> None:
        jobs: list[Awaitable[Any]] = [slot.supervise() for slot in self._slots]
        jobs += [self._workers.watch(), self._dispatcher.run(), self._log_start(), self._restart_on_request()]
        if self._broker is not None:
            jobs.append(self._broker.supervise())
        if self._metrics_listener is not None:
            jobs.append(serve_metrics(self._metrics, self._metrics_listener))
            if self._broker is not None:
                jobs.append(watch_broker(self._broker.address, self._metrics.broker_counted))
        if self._options.reload:
            jobs.append(watch_code(self._restart_requested.set))
        tasks = [asyncio.ensure_future(job) for job in jobs]
        stop = asyncio.ensure_future(self._stop_requested.wait())
        try:
            await _wait_for_stop(stop, tasks)
        finally:
            for task in (stop, *tasks):
                task.cancel()
            await asyncio.gather(stop, *tasks, return_exceptions=True)

    async def _log_start(self) -> None:
        options = self._options
        await self._workers.wait_first_ready()
        await self._dispatcher.wait_ready()
        await self._workers.wait_ready(len(self._slots), ALL_READY_LIMIT_S)
        log.info(
            "server_started",
            url=self._url,
            app=options.app,
            workers=len(self._slots),
            acceptors=self._acceptor_count,
            sticky=options.stickiness,
            broker=",".join(addresses_of(self._broker_address)),
            metrics=self._metrics_url,
        )
        if options.tls and options.sticky is None:
            log.info("sticky_defaulted", sticky=options.stickiness, reason="TLS hides the session id")

    async def _restart_on_request(self) -> None:
        """Replace the workers one after the other at each request; runs until cancelled."""
        while True:
            await self._restart_requested.wait()
            self._restart_requested.clear()
            log.info("rolling_restart_started", workers=len(self._slots))
            for slot in self._slots:
                if not await slot.replace():
                    log.error("rolling_restart_aborted", reason="a new worker did not become ready; old ones stay")
                    break
            else:
                log.info("rolling_restart_completed")

    def _on_stop_signal(self) -> None:
        """Stop at the first signal; cancel the drain at the second; kill the workers at the third."""
        self._stop_signals += 1
        if self._stop_signals == 1:
            log.info("server_stopping")
            self._stop_requested.set()
        elif self._stop_signals == 2:
            log.warning("drain_cancelled", reason="second stop signal; a third one kills the workers")
            self._workers.cancel_drain()
        else:
            log.warning("workers_killed", reason="third stop signal")
            self._workers.kill()

    def _make_slot(self, number: int) -> WorkerSlot:
        options = self._options
        return WorkerSlot(
            number,
            self._workers.start,
            stop_timeout_s=options.stop_timeout_s,
            restart_on_change_only=options.reload,
        )

    @property
    def _metrics_url(self) -> str | None:
        listener = self._metrics_listener
        return None if listener is None else f"{listener_url(listener, tls=False)}/metrics"

    @property
    def _broker_address(self) -> str:
        return self._options.broker or (self._broker.address if self._broker is not None else "")


async def _wait_for_stop(stop: "asyncio.Future[Any]", tasks: "Sequence[asyncio.Future[Any]]") -> None:
    """Wait until `stop` is done; raise the error of a task that fails before."""
    running = {stop, *tasks}
    while not stop.done():
        done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()


@asynccontextmanager
async def _signal_handlers(stop: Any, restart: Any) -> AsyncIterator[None]:
    loop = asyncio.get_running_loop()
    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, stop)
    loop.add_signal_handler(signal.SIGHUP, restart)
    try:
        yield
    finally:
        for number in (*STOP_SIGNALS, signal.SIGHUP):
            loop.remove_signal_handler(number)
