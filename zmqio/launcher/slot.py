"""One place of a worker: keeps a worker running there, and exchanges it for a new one."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from zmqio.exceptions import ServeError
from zmqio.launcher.restarts import Restarts
from zmqio.launcher.worker.process import WorkerProcess

__all__ = ["READY_LIMIT_S", "WorkerSlot"]

log = structlog.get_logger(__name__)

READY_LIMIT_S = 60.0
"""How long the new worker of an exchange may take until it is ready; then the old one stays."""


class WorkerSlot:
    """One place.

    Args:
        number: its number.
        start: starts a worker in a slot.
        stop_limit_s: how long a worker that is exchanged may take to end.
        waits_for_change: whether a worker that ended by itself is left alone until the next exchange, as while
            developing, where only a change of the code helps.
    """

    def __init__(
        self,
        number: int,
        start: Callable[[int], Awaitable[WorkerProcess]],
        *,
        stop_limit_s: float,
        waits_for_change: bool = False,
    ) -> None:
        self.number = number
        self._start = start
        self._stop_limit_s = stop_limit_s
        self._waits_for_change = waits_for_change
        self._restarts = Restarts()
        self._changing = asyncio.Lock()
        self._exchanged = asyncio.Event()
        self._current: WorkerProcess | None = None

    async def keep(self) -> None:
        """Keep a worker running; ends only by cancellation.

        Raises:
            ServeError: it ended so often that starting it again makes no sense.
        """
        self._current = await self._start(self.number)
        while True:
            worker = self._current
            await _first_of(worker.ended, self._exchanged)
            self._exchanged.clear()  # from here on the new one is looked after, while the old one drains
            if worker is self._current and worker.ended.is_set():
                await self._follow(worker)

    async def exchange(self) -> bool:
        """Start a new worker, and stop the old one when the new one is ready.

        Returns:
            False if the new one did not get ready: the old one goes on.
        """
        async with self._changing:
            old, new = self._current, await self._start(self.number)
            if not await _becomes_ready(new):
                log.error("worker_not_exchanged", worker=self.number, pid=new.pid)
                await new.stop(self._stop_limit_s)
                return False
            self._current = new
            self._exchanged.set()
        if old is not None:
            old.retire()
            if not await old.stop(self._stop_limit_s):
                log.warning("worker_killed", worker=self.number, pid=old.pid, limit_s=self._stop_limit_s)
        return True

    async def _follow(self, ended: WorkerProcess) -> None:
        """What comes after a worker that has ended by itself."""
        if ended.failure is None:
            log.error("worker_ended", worker=self.number, pid=ended.pid, ending=ended.ending)
        if self._waits_for_change:
            log.warning("waiting_for_a_change_of_the_code", worker=self.number)
            await self._exchanged.wait()
            return
        loop = asyncio.get_running_loop()
        delay_s = self._restarts.ended(loop.time(), was_ready=ended.was_ready)
        if delay_s is None:
            raise ServeError(_hopeless(self.number, ended))
        await asyncio.sleep(delay_s)
        async with self._changing:
            if ended is self._current:
                self._current = await self._start(self.number)


async def _first_of(*events: asyncio.Event) -> None:
    """Wait until one of them is set."""
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


async def _becomes_ready(worker: WorkerProcess) -> bool:
    try:
        await asyncio.wait_for(worker.settled.wait(), READY_LIMIT_S)
    except TimeoutError:
        return False
    return worker.was_ready


def _hopeless(number: int, ended: WorkerProcess) -> str:
    why = ended.failure.reason if ended.failure else ended.ending
    when = "soon after they were ready" if ended.was_ready else "before they were ready"
    return f"giving up: the workers in place {number} end again and again, {when}; the last one: {why}"
