"""Say something once, and then at most once in a while, with how often it happened. Has no clock of its own."""

__all__ = ["LogLimit"]

DEFAULT_INTERVAL_S = 60.0


class LogLimit:
    """Decides whether one kind of event may be logged now.

    Args:
        interval_s: seconds between two log lines of this kind.
    """

    def __init__(self, interval_s: float = DEFAULT_INTERVAL_S) -> None:
        self._interval_s = interval_s
        self._said_at: float | None = None
        self._unsaid = 0

    def happened(self, now_s: float) -> int:
        """Count one occurrence; returns how many to report now, or 0 to stay silent."""
        self._unsaid += 1
        if self._said_at is not None and now_s - self._said_at < self._interval_s:
            return 0
        self._said_at = now_s
        count, self._unsaid = self._unsaid, 0
        return count
