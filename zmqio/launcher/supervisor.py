"""The parent of everything that `zmqio serve` starts: workers, who accepts for them, its own broker.

Stops in this order: no new connections (with a drain, only when a worker has let its clients go), then the
workers, then the broker, through which they say goodbye.
"""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from socket import socket
from typing import Any

import structlog

from zmqio.launcher.accept.acceptor_pool import AcceptorPool
from zmqio.launcher.accept.dispatcher import ConnectionDispatcher, InProcessDispatcher
from zmqio.launcher.broker_process import BrokerProcess
from zmqio.launcher.code_watcher import code_changes
from zmqio.launcher.listener import describe
from zmqio.launcher.options import ServeOptions, worker_count
from zmqio.launcher.slot import WorkerSlot
from zmqio.launcher.worker_pool import WorkerPool

__all__ = ["Supervisor"]

log = structlog.get_logger(__name__)

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Supervisor:
    """Runs once; made in the loop.

    Args:
        options: what to do.
        listeners: one listening socket for each acceptor (see `listen_group`); closed at the end.
        import_path: folder in which workers look for modules first.
    """

    def __init__(self, options: ServeOptions, listeners: Sequence[socket], import_path: str) -> None:
        self._options = options
        self._url = describe(listeners[0], tls=options.tls)
        self._broker = BrokerProcess(options.log_format, options.log_level) if options.broker is None else None
        self._acceptors = len(listeners)
        self._front: ConnectionDispatcher = (
            AcceptorPool(options, listeners) if len(listeners) > 1 else InProcessDispatcher(options, listeners[0])
        )
        self._crew = WorkerPool(options, self._address, import_path, self._front)
        self._slots = [self._slot(number) for number in range(1, worker_count(options) + 1)]
        self._stops = 0
        self._stop_asked = asyncio.Event()
        self._roll_asked = asyncio.Event()

    async def run(self) -> None:
        """Serve until SIGINT or SIGTERM.

        Raises:
            ServeError: the app cannot be served, or workers, acceptors or broker end again and again.
        """
        async with _signal_handlers(self._stop, self._roll_asked.set):
            try:
                if self._broker is not None:
                    await self._broker.start()
                await self._serve()
            finally:
                if not self._options.drain_s:
                    self._front.close()
                # else those who are drained still come with new connections, until their worker takes no more.
                await self._crew.stop()
                await self._front.stop()
                if self._broker is not None:
                    await self._broker.stop()
        log.info("stopped", **self._front.counters)

    async def _serve(self) -> None:
        jobs: list[Awaitable[Any]] = [slot.keep() for slot in self._slots]
        jobs += [self._front.keep(), self._tell_start(), self._roll()]
        if self._broker is not None:
            jobs.append(self._broker.keep())
        if self._options.reload:
            jobs.append(code_changes(self._roll_asked.set))
        tasks = [asyncio.ensure_future(job) for job in jobs]
        stopped = asyncio.ensure_future(self._stop_asked.wait())
        try:
            await _until_first_of(stopped, tasks)
        finally:
            for task in (stopped, *tasks):
                task.cancel()
            await asyncio.gather(stopped, *tasks, return_exceptions=True)

    async def _tell_start(self) -> None:
        options = self._options
        await self._crew.first_ready()
        await self._front.ready()
        log.info(
            "serving",
            url=self._url,
            app=options.app,
            workers=len(self._slots),
            acceptors=self._acceptors,
            sticky=options.stickiness,
            broker=self._address,
        )
        if options.tls and options.sticky is None:
            log.info("sticky_by_address", why="with TLS the session id cannot be read from here")

    async def _roll(self) -> None:
        """Exchange the workers, one after the other, whenever that is asked for."""
        while True:
            await self._roll_asked.wait()
            self._roll_asked.clear()
            log.info("rolling_restart", workers=len(self._slots))
            for slot in self._slots:
                if not await slot.exchange():
                    log.error("rolling_restart_ended", why="the new worker did not get ready; the old ones go on")
                    break
            else:
                log.info("rolling_restart_done")

    def _stop(self) -> None:
        """Stop; asked again, tell the workers to hurry; asked a third time, do not wait for them."""
        self._stops += 1
        if self._stops == 1:
            log.info("stopping")
            self._stop_asked.set()
        elif self._stops == 2:
            log.warning("hurrying_workers", why="asked to stop a second time; the third time kills them")
            self._crew.hurry()
        else:
            log.warning("killing_workers", why="asked to stop a third time")
            self._crew.kill()

    def _slot(self, number: int) -> WorkerSlot:
        options = self._options
        return WorkerSlot(
            number, self._crew.start, stop_limit_s=options.stop_limit_s, waits_for_change=options.reload
        )

    @property
    def _address(self) -> str:
        return self._options.broker or (self._broker.address if self._broker is not None else "")


async def _until_first_of(stopped: "asyncio.Future[Any]", tasks: "Sequence[asyncio.Future[Any]]") -> None:
    """Wait until `stopped` is done; raises the error of a task that fails before."""
    running = {stopped, *tasks}
    while not stopped.done():
        done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()


@asynccontextmanager
async def _signal_handlers(stop: Any, roll: Any) -> AsyncIterator[None]:
    loop = asyncio.get_running_loop()
    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, stop)
    loop.add_signal_handler(signal.SIGHUP, roll)
    try:
        yield
    finally:
        for number in (*STOP_SIGNALS, signal.SIGHUP):
            loop.remove_signal_handler(number)
