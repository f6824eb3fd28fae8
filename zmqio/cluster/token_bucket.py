"""A budget that refills with time. Pure, time is an argument."""

__all__ = ["TokenBucket"]


class TokenBucket:
    """A budget of `burst` units that refills at `per_s` units per second. `spend` may overdraw it.

    Args:
        per_s: units per second.
        burst: most units that are saved up; the bucket starts full.
        now: the time, in seconds of any steady clock.
    """

    __slots__ = ("_burst", "_left", "_per_s", "_updated_at")

    def __init__(self, per_s: float, burst: float, now: float) -> None:
        self._per_s = per_s
        self._burst = burst
        self._left = burst
        self._updated_at = now

    def has_credit(self, now: float) -> bool:
        """Whether anything is left. The next expense may exceed it."""
        return self._refilled(now) > 0

    def is_full(self, now: float) -> bool:
        """Whether the bucket holds `burst`, as a new one does."""
        return self._refilled(now) >= self._burst

    def spend(self, units: float, now: float) -> None:
        """Spend units, whether they are left or not."""
        self._left = self._refilled(now) - units
        self._updated_at = now

    def take(self, units: float, now: float) -> bool:
        """Spend units if that many are left; otherwise spend nothing and return False."""
        if self._refilled(now) < units:
            return False
        self.spend(units, now)
        return True

    def _refilled(self, now: float) -> float:
        return min(self._burst, self._left + (now - self._updated_at) * self._per_s)
