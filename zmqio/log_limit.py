"""Rate limits for log lines: at most a fixed number of lines per event and interval, the first one at once."""

import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

__all__ = ["LimitedLog", "LogLimit"]

DEFAULT_INTERVAL_S = 60.0
SUBJECT_LINES = 5
"""Lines about all subjects of an event, as a multiple of the lines about one."""
MAX_SUBJECTS = 500
"""Subjects with a limit of their own: an application has fewer handlers, rules and listeners."""
MAX_SUBJECT_LENGTH = 255


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

    def record(self, now_s: float, total: "LogLimit | None" = None) -> int:
        """Count one occurrence. Return how many occurrences to log now; 0 for none.

        The number includes the occurrences that were not logged before.

        Args:
            now_s: seconds of a monotonic clock.
            total: a limit that several limits share. It must allow the line, too.
        """
        self._unlogged += 1
        if self._interval_start_s is None or now_s - self._interval_start_s >= self._interval_s:
            self._interval_start_s, self._logged = now_s, 0
        if self._logged >= self._burst or (total is not None and not total.record(now_s)):
            return 0
        self._logged += 1
        count, self._unlogged = self._unlogged, 0
        return count


class LimitedLog:
    """A logger with a rate limit per event, for events that clients can cause at will.

    With `subject`, the limit applies to each subject of the event, so that frequent failures of one handler do not
    hide another's; all subjects together have `SUBJECT_LINES` times the limit. Subjects may be chosen by clients:
    beyond `MAX_SUBJECTS`, the rest share one limit.

    Args:
        log: a logger.
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
        self._totals = defaultdict[str, LogLimit](lambda: LogLimit(interval_s, burst * SUBJECT_LINES))
        self._by_subject: dict[tuple[str, str], LogLimit] = {}
        self._interval_s, self._burst = interval_s, burst

    def debug(self, event: str, *, subject: str | None = None, **facts: Any) -> None:
        """Log the event at DEBUG, unless its limit is reached."""
        if times := self._record(event, subject):
            self._log.debug(event, times=times, **facts)

    def info(self, event: str, *, subject: str | None = None, **facts: Any) -> None:
        """Log the event at INFO, unless its limit is reached."""
        if times := self._record(event, subject):
            self._log.info(event, times=times, **facts)

    def warning(self, event: str, *, subject: str | None = None, **facts: Any) -> None:
        """Log the event at WARNING, unless its limit is reached."""
        if times := self._record(event, subject):
            self._log.warning(event, times=times, **facts)

    def error(self, event: str, *, subject: str | None = None, **facts: Any) -> None:
        """Log the event at ERROR, unless its limit is reached. With `exc_info=True`, the current exception."""
        if times := self._record(event, subject):
            self._log.error(event, times=times, **facts)

    def _record(self, event: str, subject: str | None) -> int:
        now_s = self._clock()
        if subject is None:
            return self._limits[event].record(now_s)
        return self._limit_of(event, subject).record(now_s, self._totals[event])

    def _limit_of(self, event: str, subject: str) -> LogLimit:
        limit = self._by_subject.get((event, subject))
        if limit is None:
            if len(self._by_subject) >= MAX_SUBJECTS or len(subject) > MAX_SUBJECT_LENGTH:
                return self._limits[event]
            limit = self._by_subject[event, subject] = LogLimit(self._interval_s, self._burst)
        return limit
