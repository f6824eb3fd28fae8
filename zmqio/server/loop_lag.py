"""Measures how late the event loop runs its timers: the time that one handler takes from all other clients."""

import asyncio
from collections import Counter

from zmqio.timer_grid import next_on_grid

__all__ = ["INTERVAL_S", "LoopLag"]

INTERVAL_S = 1.0
"""Seconds between two measurements."""


class LoopLag:
    """A timer that counts by how much it is late.

    Args:
        counters: counts `loop_lag_checks` and `loop_lag_microseconds`, the sum over all measurements.
        interval_s: seconds between two measurements.
    """

    def __init__(self, counters: Counter[str], interval_s: float = INTERVAL_S) -> None:
        self._counters = counters
        self._interval_s = interval_s
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Measure from now on, in the running event loop."""
        loop = asyncio.get_running_loop()
        due = next_on_grid(loop.time(), self._interval_s)
        self._timer = loop.call_at(due, self._measure, loop, due)

    def stop(self) -> None:
        """Measure no longer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _measure(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        self._counters["loop_lag_checks"] += 1
        self._counters["loop_lag_microseconds"] += max(0, int((loop.time() - due) * 1e6))
        self.start()
