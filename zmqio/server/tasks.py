"""The tasks of one server, with an owner that awaits or cancels them.

Handlers run in these tasks. The set keeps a reference to each, so that none is garbage-collected while it runs,
and `close` ends those that would outlive the server.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any

from zmqio.log_limit import LimitedLog
from zmqio.logger import get_logger

__all__ = ["Tasks"]

log = LimitedLog(get_logger(__name__))


class Tasks:
    """A set of running tasks.

    Args:
        loop: the event loop of all tasks, if it is known; asking for it takes a system call in Python 3.11.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self._loop = loop
        self._running: set[asyncio.Task[Any]] = set()

    def __len__(self) -> int:
        return len(self._running)

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run `work` in a task. Its exception is logged once, as `task_failed`, and affects no other task."""
        task = self.spawn_reporting(work)
        task.add_done_callback(self._done)
        return task

    def spawn_reporting(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run `work`, which must not raise and must have its task given to `report_end` as its last step.

        This saves one callback of the event loop for each task.
        """
        task = (self._loop or asyncio.get_running_loop()).create_task(work)
        self._running.add(task)
        return task

    def report_end(self, task: asyncio.Task[Any] | None) -> None:
        """Forget a task of `spawn_reporting`, which is about to end."""
        self._running.discard(task)

    def cancel(self, *, caller: "asyncio.Task[Any] | None" = None) -> None:
        """Cancel the running tasks except the current one and `caller`; `close` waits for their end."""
        for task in self._running - {asyncio.current_task(), caller}:
            task.cancel()

    async def close(self, grace_s: float, *, caller: "asyncio.Task[Any] | None" = None) -> None:
        """Wait up to `grace_s` seconds for the running tasks, then cancel the rest and wait as long again.

        The current task and `caller` are exempt, so that a handler may close its own server.
        """
        self._running = {task for task in self._running if not task.done()}  # cancelled before they began
        others = self._running - {asyncio.current_task(), caller}
        if not others:
            return
        _, late = await asyncio.wait(others, timeout=grace_s)
        for task in late:
            task.cancel()
        if late:
            log.warning("handlers_cancelled", count=len(late), grace_s=grace_s)
            await asyncio.wait(late, timeout=grace_s)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("task_failed", exc_info=error)
