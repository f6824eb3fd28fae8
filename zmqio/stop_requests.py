"""Distinguishes repeated stop signals from duplicates of the first one. Pure: time is an argument."""

__all__ = ["REPEAT_AFTER_S", "StopRequests"]

REPEAT_AFTER_S = 1.0
"""Signals within this many seconds of the first are duplicates of it.

systemd and Ctrl-C in a terminal signal every process of a group, and a supervisor also forwards the signal to its
workers. A person who repeats the signal takes longer."""


class StopRequests:
    """The stop signals that one process has received."""

    def __init__(self) -> None:
        self._first_at: float | None = None

    def is_repeated(self, now: float) -> bool:
        """Record a signal. Return whether it repeats an earlier request to stop.

        Args:
            now: seconds of a monotonic clock.
        """
        if self._first_at is None:
            self._first_at = now
        return now - self._first_at >= REPEAT_AFTER_S
