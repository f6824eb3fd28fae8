"""One place in the worker pool: keep it occupied by a running worker, and replace that worker on request."""

import asyncio
from collections.abc import Awaitable, Callable

from zmqio.exceptions import ServeError
from zmqio.launcher.restarts import RestartPolicy
from zmqio.launcher.worker.process import WorkerProcess
from zmqio.logger import get_logger

__all__ = ["READY_TIMEOUT_S", "WorkerSlot"]

log = get_logger(__name__)

READY_TIMEOUT_S = 60.0
"""Seconds that a replacement may take until it is ready; after that the old worker stays."""


class WorkerSlot:
    """A place that one worker occupies.

    Args:
        number: number of the slot.
        start: starts a worker in a slot.
        stop_timeout_s: seconds that a replaced worker may take to exit.
        restart_on_change_only: leave the slot empty after its worker exits by itself, until `replace` is called.
            For development, where only a change of the code helps.
    """

    def __init__(
        self,
        number: int,
        start: Callable[[int], Awaitable[WorkerProcess]],
        *,
        stop_timeout_s: float,
        restart_on_change_only: bool = False,
    ) -> None:
        self.number = number
        self._start = start
        self._stop_timeout_s = stop_timeout_s
        self._restart_on_change_only = restart_on_change_only
        self._restarts = RestartPolicy()
        self._changing = asyncio.Lock()
        self._replaced = asyncio.Event()
        self._current: WorkerProcess | None = None

    async def supervise(self) -> None:
        """Start a worker, and restart it whenever it exits by itself; runs until cancelled.

        Raises:
            ServeError: the workers exited too often (see `RestartPolicy`).
        """
        self._current = await self._start(self.number)
        while True:
            worker = self._current
            await _wait_any(worker.exited, self._replaced)
            self._replaced.clear()  # the replacement is supervised from here on, while the old worker drains
            if worker is self._current and worker.exited.is_set():
                await self._restart_after(worker)

    async def replace(self) -> bool:
        """Start a new worker; once it is ready, stop the old one.

        Returns:
            False if the new worker did not become ready: the old one stays.
        """
        async with self._changing:
            old, new = self._current, await self._try_to_start()
            if new is None:
                return False
            if not await _becomes_ready(new):
                log.error("worker_replacement_failed", worker=self.number, pid=new.pid)
                await new.stop(self._stop_timeout_s)
                return False
            self._current = new
            self._replaced.set()
        if old is not None:
            old.retire()
            if not await old.stop(self._stop_timeout_s):
                log.warning("worker_killed", worker=self.number, pid=old.pid, timeout_s=self._stop_timeout_s)
        return True

    async def _restart_after(self, exited: WorkerProcess) -> None:
        if exited.failure is None:
            log.error("worker_exited", worker=self.number, pid=exited.pid, exit_status=exited.exit_status)
        if self._restart_on_change_only:
            log.warning("worker_restart_deferred", worker=self.number, reason="waiting for a change of the code")
            await self._replaced.wait()
            return
        was_ready = exited.was_ready
        while exited is self._current:
            delay_s = self._restarts.record_exit(asyncio.get_running_loop().time(), was_ready=was_ready)
            if delay_s is None:
                raise ServeError(_crash_loop_message(self.number, exited))
            await asyncio.sleep(delay_s)
            async with self._changing:
                if exited is self._current and (started := await self._try_to_start()) is not None:
                    self._current = started
            was_ready = False

    async def _try_to_start(self) -> WorkerProcess | None:
        """Start a worker; None if the system cannot start a process now."""
        try:
            return await self._start(self.number)
        except ServeError as error:
            log.error("worker_start_failed", worker=self.number, error=str(error))  # noqa: TRY400
            return None


async def _wait_any(*events: asyncio.Event) -> None:
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()


async def _becomes_ready(worker: WorkerProcess) -> bool:
    try:
        await asyncio.wait_for(worker.ready_or_exited.wait(), READY_TIMEOUT_S)
    except TimeoutError:
        return False
    return worker.was_ready


def _crash_loop_message(number: int, exited: WorkerProcess) -> str:
    cause = exited.failure.reason if exited.failure else exited.exit_status
    when = "soon after they were ready" if exited.was_ready else "before they were ready"
    return f"giving up: the workers in slot {number} keep exiting {when}; last time: {cause}"
