"""Code of the application that runs with the server: functions at its start and its end, and background tasks.

The hooks outlive a run of the server; background tasks end with it.
"""

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

from zmqio.logger import get_logger
from zmqio.server.signatures import check_function
from zmqio.server.tasks import Tasks

__all__ = ["ApplicationHooks"]

log = get_logger(__name__)


class ApplicationHooks:
    """Functions and tasks of the application."""

    def __init__(self) -> None:
        self._start: list[Callable[..., Any]] = []
        self._stop: list[Callable[..., Any]] = []
        self._tasks = Tasks()

    def on_start(self, function: Callable[..., Any]) -> None:
        """Add a function that runs when the node has started. Raises TypeError if it requires arguments."""
        check_function(function, "start function")
        self._start.append(function)

    def on_stop(self, function: Callable[..., Any]) -> None:
        """Add a function that runs before the node leaves. Raises TypeError if it requires arguments."""
        check_function(function, "stop function")
        self._stop.append(function)

    async def run_start(self) -> None:
        """Run the start functions in order of registration; an exception ends the start of the server."""
        for function in self._start:
            await _run(function)

    async def stop_tasks(self, grace_s: float, *, caller: "asyncio.Task[Any] | None" = None) -> None:
        """Cancel the background tasks and wait for their end, for at most `grace_s`; `caller` is exempt."""
        self._tasks.cancel(caller=caller)
        await self._tasks.close(grace_s, caller=caller)

    async def run_stop(self, grace_s: float, *, caller: "asyncio.Task[Any] | None" = None) -> None:
        """End the background tasks, then run the stop functions in reverse order, for at most `grace_s` in all.

        The error of a stop function is logged.
        """
        await self.stop_tasks(grace_s, caller=caller)
        try:
            async with asyncio.timeout(grace_s):
                for function in reversed(self._stop):
                    await self._stop_one(function)
        except TimeoutError:
            log.warning("stop_functions_cancelled", grace_s=grace_s)

    def spawn(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> "asyncio.Task[Any]":
        """Run an async function in a task that is cancelled when the server closes; its exception is logged.

        Raises:
            TypeError: the function is not async.
        """
        if not inspect.iscoroutinefunction(function):
            raise TypeError(
                f"a background task is an async function, not {function!r}; use asyncio.to_thread in one"
            )
        return self._tasks.spawn(_logged(function, args, kwargs))

    async def _stop_one(self, function: Callable[..., Any]) -> None:
        try:
            await _run(function)
        except Exception:
            log.exception("stop_function_failed", function=getattr(function, "__qualname__", repr(function)))


async def _run(function: Callable[..., Any]) -> None:
    result = function()
    if inspect.iscoroutine(
        result
    ):  # not every awaitable: a function may return the background task that it starts
        await result


async def _logged(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    try:
        return await function(*args, **kwargs)
    except Exception:
        log.exception("background_task_failed", function=getattr(function, "__qualname__", repr(function)))
        return None
