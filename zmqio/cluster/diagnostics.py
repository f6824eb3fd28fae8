"""Count what goes wrong, and log each kind at most once in a while: trouble on the bus comes in thousands.

Knows counters and the log; the clock is given.
"""

from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any

import structlog

from zmqio.log_limit import LogLimit

__all__ = ["Diagnostics"]

log = structlog.get_logger(__name__)

LOG_INTERVAL_S = 10.0
TELLINGS = 5


class Diagnostics:
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
        self._limits = defaultdict[str, LogLimit](lambda: LogLimit(interval_s))
        self._tellings = defaultdict[str, LogLimit](lambda: LogLimit(interval_s, TELLINGS))

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
        if times := self._limits[kind].record(self._clock()):
            log.warning(kind, times=times, **facts)

    def tell(self, event: str, **facts: Any) -> None:
        """Log a warning that its caller says once about each thing; not counted.

        At most `TELLINGS` in a row: things can be forged. `times` says how many were left out before it, and it.
        """
        if times := self._tellings[event].record(self._clock()):
            log.warning(event, times=times, **facts)
