"""One timer that calls a function again and again, each time after as many seconds as the function returned.

Knows nothing of nodes and messages.
"""

import asyncio
from collections.abc import Callable

__all__ = ["Ticker"]


class Ticker:
    """Calls `tick` from `start` until `stop`.

    Args:
        tick: returns the seconds until its next call; must not raise.
    """

    def __init__(self, tick: Callable[[], float]) -> None:
        self._tick = tick
        self._is_running = False
        self._timer: asyncio.TimerHandle | None = None
        self._due_s = 0.0

    def start(self) -> None:
        """Make the first call at once, in the running event loop."""
        self._is_running = True
        self._run(asyncio.get_running_loop())

    def hasten(self, delay_s: float) -> None:
        """Make the next call in at most `delay_s` from now; does nothing unless started."""
        if self._timer is None:
            return
        loop = asyncio.get_running_loop()
        if self._due_s > loop.time() + delay_s:
            self._timer.cancel()
            self._arm(loop, delay_s)

    def stop(self) -> None:
        """Make no more calls."""
        self._is_running = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        delay_s = self._tick()
        if self._is_running:
            self._arm(loop, delay_s)

    def _arm(self, loop: asyncio.AbstractEventLoop, delay_s: float) -> None:
        self._due_s = loop.time() + delay_s
        self._timer = loop.call_at(self._due_s, self._run, loop)
