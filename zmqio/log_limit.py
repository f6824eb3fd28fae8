"""Say something once, and then at most once in a while, with how often it happened."""

import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

__all__ = ["LimitedLog", "LogLimit"]

DEFAULT_INTERVAL_S = 60.0


class LogLimit:
    """Decides whether one kind of event may be logged now. Has no clock of its own.

    Args:
        interval_s: seconds between two bursts of log lines of this kind.
        burst: most log lines in one burst.
    """

    def __init__(self, interval_s: float = DEFAULT_INTERVAL_S, burst: int = 1) -> None:
        self._interval_s = interval_s
        self._burst = burst
        self._begun_at: float | None = None
        self._said = 0
        self._unsaid = 0

    def happened(self, now_s: float) -> int:
        """Count one occurrence; returns how many to report now, or 0 to stay silent."""
        self._unsaid += 1
        if self._begun_at is None or now_s - self._begun_at >= self._interval_s:
            self._begun_at, self._said = now_s, 0
        if self._said >= self._burst:
            return 0
        self._said += 1
        count, self._unsaid = self._unsaid, 0
        return count


class LimitedLog:
    """A log for what clients can cause as often as they like: each event only so many times in a while.

    Args:
        log: a structlog logger.
        interval_s: seconds between two bursts of one event.
        burst: most lines in one burst; `times` in a line says how many it stands for.
        clock: gives the seconds of any steady clock.
    """

    def __init__(
        self, log: Any, interval_s: float = 10.0, burst: int = 10, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._log = log
        self._clock = clock
        self._limits = defaultdict[str, LogLimit](lambda: LogLimit(interval_s, burst))

    def info(self, event: str, **facts: Any) -> None:
        """Say it as INFO."""
        if times := self._limits[event].happened(self._clock()):
            self._log.info(event, times=times, **facts)

    def warning(self, event: str, **facts: Any) -> None:
        """Say it as WARNING."""
        if times := self._limits[event].happened(self._clock()):
            self._log.warning(event, times=times, **facts)
