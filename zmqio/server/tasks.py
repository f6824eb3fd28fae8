"""The tasks of one server, with an owner that ends them.

Handlers run in tasks of this set, so that none is collected in the middle and none outlives the server.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any

import structlog

__all__ = ["Tasks"]

log = structlog.get_logger(__name__)


class Tasks:
    """A set of running tasks."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._running)

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run `work`; what it raises is logged once, as `task_failed`, and ends only that task."""
        task = asyncio.get_running_loop().create_task(work)
        self._running.add(task)
        task.add_done_callback(self._done)
        return task

    async def close(self, grace_s: float, *, caller: "asyncio.Task[Any] | None" = None) -> None:
        """Wait up to `grace_s` seconds for what runs, then cancel the rest and wait for that.

        The task that calls this, and `caller`, are left out, so that a handler may close its own server.
        """
        others = self._running - {asyncio.current_task(), caller}
        if not others:
            return
        _, late = await asyncio.wait(others, timeout=grace_s)
        for task in late:
            task.cancel()
        if late:
            log.warning("handlers_cancelled", count=len(late), grace_s=grace_s)
            await asyncio.wait(late, timeout=grace_s)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("task_failed", exc_info=error)
