"""Say something once, and then at most once in a while, with how often it happened. Has no clock of its own."""

__all__ = ["LogLimit"]

DEFAULT_INTERVAL_S = 60.0


class LogLimit:
    """Decides whether one kind of event may be logged now.

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
