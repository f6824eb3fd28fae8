"""Counts failures, and logs each kind at a limited rate: failures on the bus come by the thousands.

Knows counters and the log; the clock is given.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any

from zmqio.counts import Counts
from zmqio.log_limit import LimitedLog
from zmqio.logger import get_logger

__all__ = ["Diagnostics"]

log = get_logger(__name__)

LOG_INTERVAL_S = 10.0
WARNING_BURST = 5


class Diagnostics:
    """The counters and warnings of one node.

    Args:
        clock: gives the seconds of any steady clock.
        interval_s: seconds between two log lines of one kind.

    Attributes:
        counters: how often each kind happened since the start, logged or not.
    """

    def __init__(self, clock: Callable[[], float], interval_s: float = LOG_INTERVAL_S) -> None:
        self.counters: Counter[str] = Counts()
        self._report_log = LimitedLog(log, interval_s, 1, clock)
        self._warning_log = LimitedLog(log, interval_s, WARNING_BURST, clock)

    def count(self, kind: str, times: int = 1) -> None:
        """Count an event without logging it."""
        self.counters[kind] += times

    def report(self, kind: str, **facts: Any) -> None:
        """Count an event, and log it as a warning at most once per interval.

        Args:
            kind: a fixed snake_case phrase: the name of the counter and of the log event.
            facts: key-values for the log line. `times` is added: how often it happened since the last line.
        """
        self.counters[kind] += 1
        self._report_log.warning(kind, **facts)

    def warn(self, event: str, **facts: Any) -> None:
        """Log a warning that the caller issues once per subject, without counting it.

        At most `WARNING_BURST` are logged per interval, because subjects can be forged. `times` counts this
        warning and those omitted before it.
        """
        self._warning_log.warning(event, **facts)
