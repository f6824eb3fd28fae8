"""Rate limits for log lines: an event is logged at once, and then at most so many times per interval."""

import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

__all__ = ["LimitedLog", "LogLimit"]

DEFAULT_INTERVAL_S = 60.0


class LogLimit:
    """Decides whether an occurrence of one event is logged. Pure: time is an argument.

    Args:
        interval_s: length of an interval, in seconds.
        burst: most log lines per interval.
    """

    def __init__(self, interval_s: float = DEFAULT_INTERVAL_S, burst: int = 1) -> None:
        self._interval_s = interval_s
        self._burst = burst
        self._interval_start_s: float | None = None
        self._logged = 0
        self._unlogged = 0

    def record(self, now_s: float) -> int:
        """Count one occurrence. Return how many occurrences to log now; 0 for none.

        The number includes the occurrences that were not logged before.
        """
        self._unlogged += 1
        if self._interval_start_s is None or now_s - self._interval_start_s >= self._interval_s:
            self._interval_start_s, self._logged = now_s, 0
        if self._logged >= self._burst:
            return 0
        self._logged += 1
        count, self._unlogged = self._unlogged, 0
        return count


class LimitedLog:
    """A logger with a rate limit per event, for events that clients can cause at will.

    Args:
        log: a structlog logger.
        interval_s: length of an interval, in seconds.
        burst: most lines of one event per interval. The key `times` of a line is the number of occurrences it
            stands for.
        clock: returns the seconds of a monotonic clock.
    """

    def __init__(
        self, log: Any, interval_s: float = 10.0, burst: int = 10, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._log = log
        self._clock = clock
        self._limits = defaultdict[str, LogLimit](lambda: LogLimit(interval_s, burst))

    def info(self, event: str, **facts: Any) -> None:
        """Log the event at INFO, unless its limit is reached."""
        if times := self._limits[event].record(self._clock()):
            self._log.info(event, times=times, **facts)

    def warning(self, event: str, **facts: Any) -> None:
        """Log the event at WARNING, unless its limit is reached."""
        if times := self._limits[event].record(self._clock()):
            self._log.warning(event, times=times, **facts)
