"""Sends events to all admin pages in their order, for callers that cannot await."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any

from zmqio.exceptions import ZmqioError

__all__ = ["AdminOutbox"]

SLICE_EVENTS = 50
"""Events sent in one turn of the event loop."""


class AdminOutbox:
    """A queue that a task of its own empties. The rate of the feed bounds it.

    Args:
        emit: sends one event, with its arguments.
        spawn: runs a task.
    """

    def __init__(
        self, emit: Callable[..., Awaitable[None]], spawn: Callable[[Coroutine[Any, Any, None]], object]
    ) -> None:
        self._emit = emit
        self._spawn = spawn
        self._queue: deque[tuple[Any, ...]] = deque()
        self._sending = False

    def send(self, *event: Any) -> None:
        """Queue an event."""
        self._queue.append(event)
        if not self._sending:
            self._sending = True
            self._spawn(self._run())

    async def _run(self) -> None:
        try:
            sent = 0
            while self._queue:
                with suppress(ZmqioError):  # the page misses one line
                    await self._emit(*self._queue.popleft())
                sent += 1
                if sent % SLICE_EVENTS == 0:
                    await asyncio.sleep(0)
        finally:
            self._sending = False
