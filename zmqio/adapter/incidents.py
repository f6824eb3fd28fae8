"""Count what goes wrong, and log each kind at most once in a while: trouble on the bus comes in thousands.

Knows counters and the log; the clock is given.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any

import structlog

__all__ = ["Incidents"]

log = structlog.get_logger(__name__)

LOG_INTERVAL_S = 10.0


class Incidents:
    """One per node.

    Args:
        clock: gives the seconds of any steady clock.
        interval_s: seconds between two log lines of one kind.

    Attributes:
        counters: how often each kind happened since the start; every one of them, logged or not.
    """

    def __init__(self, clock: Callable[[], float], interval_s: float = LOG_INTERVAL_S) -> None:
        self.counters: Counter[str] = Counter()
        self._clock = clock
        self._interval_s = interval_s
        self._logged: dict[str, tuple[float, int]] = {}

    def count(self, kind: str, times: int = 1) -> None:
        """Count something that needs no log line."""
        self.counters[kind] += times

    def report(self, kind: str, **facts: Any) -> None:
        """Count and log a warning named `kind`; `times` in it is how often it happened since the last line.

        Args:
            kind: a fixed snake_case phrase: the name of the counter and of the log event.
            facts: key-values for the log line, of this occurrence.
        """
        self.counters[kind] += 1
        total, now = self.counters[kind], self._clock()
        last = self._logged.get(kind)
        if last is not None and now - last[0] < self._interval_s:
            return
        self._logged[kind] = (now, total)
        log.warning(kind, times=total - (last[1] if last else 0), **facts)

    def tell(self, event: str, **facts: Any) -> None:
        """Log a warning that its caller says once only; not counted."""
        log.warning(event, **facts)
