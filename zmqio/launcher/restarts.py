"""When a process that ended by itself is started again, and when that is given up. Pure; has no clock."""

from collections import deque

__all__ = ["MOST_ENDS", "MOST_ENDS_UNREADY", "WINDOW_S", "Restarts"]

MOST_ENDS = 5
"""Ends within `WINDOW_S` after which it is given up: a worker that lives for minutes between crashes goes on."""
WINDOW_S = 30.0
MOST_ENDS_UNREADY = 3
"""Ends in a row before it was ready, however long each took."""

_FIRST_DELAY_S = 0.25
_LONGEST_DELAY_S = 5.0


class Restarts:
    """The ends of what runs in one place."""

    def __init__(self) -> None:
        self._ends: deque[float] = deque(maxlen=MOST_ENDS)
        self._unready = 0

    def ended(self, now_s: float, *, was_ready: bool) -> float | None:
        """Note an end.

        Args:
            now_s: seconds of any steady clock.
            was_ready: whether it had come so far as to be ready.

        Returns:
            seconds to wait before it is started again, doubling with each end in the window; None: give up.
        """
        self._ends.append(now_s)
        self._unready = 0 if was_ready else self._unready + 1
        recent = sum(now_s - ended_s < WINDOW_S for ended_s in self._ends)
        if recent >= MOST_ENDS or self._unready >= MOST_ENDS_UNREADY:
            return None
        return float(min(_FIRST_DELAY_S * 2 ** (recent - 1), _LONGEST_DELAY_S))
