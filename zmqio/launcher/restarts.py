"""Decides when to restart a process that exited by itself, and when to give up. Pure: time is an argument."""

from collections import deque

__all__ = ["MAX_EXITS", "MAX_FAILED_STARTS", "WINDOW_S", "RestartPolicy"]

MAX_EXITS = 5
"""Exits within `WINDOW_S` after which to give up. A process that runs for minutes between crashes is restarted."""
WINDOW_S = 30.0
MAX_FAILED_STARTS = 3
"""Exits in a row before the process was ready, however long each start took, after which to give up."""

_FIRST_DELAY_S = 0.25
_MAX_DELAY_S = 5.0


class RestartPolicy:
    """Counts the exits of one process and its successors."""

    def __init__(self) -> None:
        self._exits: deque[float] = deque(maxlen=MAX_EXITS)
        self._failed_starts = 0

    def record_exit(self, now_s: float, *, was_ready: bool) -> float | None:
        """Record an exit.

        Args:
            now_s: seconds of any monotonic clock.
            was_ready: whether the process was ready before it exited.

        Returns:
            seconds to wait before the restart, doubled with each exit in the window; None to give up.
        """
        self._exits.append(now_s)
        self._failed_starts = 0 if was_ready else self._failed_starts + 1
        recent = sum(now_s - exited_s < WINDOW_S for exited_s in self._exits)
        if recent >= MAX_EXITS or self._failed_starts >= MAX_FAILED_STARTS:
            return None
        return float(min(_FIRST_DELAY_S * 2 ** (recent - 1), _MAX_DELAY_S))
