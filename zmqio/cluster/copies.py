"""Tell an outside request that came before: pushed to several brokers, it comes several times.

Pure, time is an argument. Knows the ids of requests; nothing of what they say.
"""

from collections.abc import Hashable

__all__ = ["DuplicateFilter"]

IDS_KEPT = 10_000
IDS_KEPT_S = 60.0


class DuplicateFilter:
    """Ids of outside requests, remembered for a while.

    Args:
        limit: most ids kept; beyond it the oldest is forgotten.
        keep_s: seconds that an id is kept.
    """

    __slots__ = ("_keep_s", "_limit", "_seen")

    def __init__(self, limit: int = IDS_KEPT, keep_s: float = IDS_KEPT_S) -> None:
        self._limit = limit
        self._keep_s = keep_s
        self._seen: dict[Hashable, float] = {}

    def is_new(self, request_id: Hashable, now: float) -> bool:
        """Note an id; False if it came within the last `keep_s`."""
        self._expire(now)
        if request_id in self._seen:
            return False
        if len(self._seen) >= self._limit:
            del self._seen[next(iter(self._seen))]
        self._seen[request_id] = now
        return True

    def _expire(self, now: float) -> None:
        while self._seen:
            oldest = next(iter(self._seen))
            if now - self._seen[oldest] < self._keep_s:
                return
            del self._seen[oldest]
