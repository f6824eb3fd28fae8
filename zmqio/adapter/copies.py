"""Tell a message that came before: several brokers bring several copies.

Pure, time is an argument. Knows stamps and the ids of outside requests; nothing of what is said.
"""

from collections.abc import Hashable

from zmqio.ids import NodeId
from zmqio.protocol.messages import Stamp

__all__ = ["RecentIds", "StampRecord"]

PUBLISHERS_KEPT = 4_096
IDS_KEPT = 10_000
IDS_KEPT_S = 60.0


class StampRecord:
    """The highest number heard of each publisher. A link brings one publisher's messages in their order, so what
    is not above it is a copy.

    Args:
        publishers_kept: beyond it those that left are forgotten first, then the one known for longest.
    """

    __slots__ = ("_highest", "_publishers_kept")

    def __init__(self, publishers_kept: int = PUBLISHERS_KEPT) -> None:
        self._highest: dict[NodeId, int] = {}
        self._publishers_kept = publishers_kept

    def is_new(self, stamp: Stamp) -> bool:
        """Note a stamp; False if its message came before. Unstamped messages are always new."""
        if stamp.previous is None:
            return True
        highest = self._highest.get(stamp.node_id)
        if highest is None:
            self._highest[stamp.node_id] = stamp.n
            self._forget()
            return True
        if stamp.n <= highest:
            return False
        self._highest[stamp.node_id] = stamp.n
        return True

    def gone(self, node_id: NodeId) -> None:
        """A publisher left: it is the first to be forgotten, but late copies of its messages are still told."""
        highest = self._highest.pop(node_id, None)
        if highest is not None:
            self._highest = {node_id: highest, **self._highest}

    def _forget(self) -> None:
        if len(self._highest) > self._publishers_kept:
            del self._highest[next(iter(self._highest))]


class RecentIds:
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
