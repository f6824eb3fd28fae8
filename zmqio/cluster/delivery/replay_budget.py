"""Limits the messages that this node sends again to each node that asks, in bytes per second. Pure.

A request is small, and its answer may have a megabyte. Beyond the limit, the newest request of each requester
waits until its answer is within the limit again. A requester has one open request at a time, so an earlier one is
no longer needed.
"""

from zmqio.cluster.token_bucket import TokenBucket
from zmqio.ids import NodeId
from zmqio.protocol.messages import ReplayRequest

__all__ = ["MAX_WAITING_BYTES", "UNKNOWN", "ReplayBudget"]

MAX_WAITING_BYTES = 16 << 20
"""Most bytes of waiting requests, each with a filter of topics. Beyond that, the requester repeats its request."""

UNKNOWN = NodeId("")
"""Stands for all requesters from which no heartbeat has come: they share one budget."""


class ReplayBudget:
    """The requesters that have used their share lately, and their waiting requests.

    Args:
        bytes_per_s: limit of each requester; so many bytes are also saved up.
        max_waiting_bytes: most bytes of waiting requests.
    """

    def __init__(self, bytes_per_s: int, max_waiting_bytes: int = MAX_WAITING_BYTES) -> None:
        self._bytes_per_s = bytes_per_s
        self._max_waiting_bytes = max_waiting_bytes
        self._buckets: dict[NodeId, TokenBucket] = {}
        self._waiting: dict[NodeId, tuple[NodeId, ReplayRequest]] = {}
        self._waiting_bytes = 0

    @property
    def is_waiting(self) -> bool:
        """Whether requests wait."""
        return bool(self._waiting)

    def allows(self, requester: NodeId, now: float) -> bool:
        """Whether a request may be answered now. If not, pass it to `wait`."""
        bucket = self._buckets.get(requester)
        return bucket is None or bucket.has_credit(now)

    def spend(self, requester: NodeId, size_bytes: int, now: float) -> None:
        """Count an answer."""
        bucket = self._buckets.get(requester)
        if bucket is None:
            bucket = self._buckets[requester] = TokenBucket(self._bytes_per_s, self._bytes_per_s, now)
        bucket.spend(size_bytes, now)

    def wait(self, requester: NodeId, node_id: NodeId, request: ReplayRequest) -> bool:
        """Keep a request in place of the earlier one of its requester; False if there is no room for it.

        Args:
            requester: the node, or `UNKNOWN`.
            node_id: the node to answer.
            request: its request.
        """
        self._remove_waiting(requester)
        if self._waiting_bytes + len(request.topics) > self._max_waiting_bytes:
            return False
        self._waiting[requester] = node_id, request
        self._waiting_bytes += len(request.topics)
        return True

    def take_due(self, now: float) -> list[tuple[NodeId, NodeId, ReplayRequest]]:
        """Remove and return the requests that may be answered now, as (requester, node to answer, request)."""
        due = [
            (requester, *waiting) for requester, waiting in self._waiting.items() if self.allows(requester, now)
        ]
        for requester, _, _ in due:
            self._remove_waiting(requester)
        for requester in [requester for requester, bucket in self._buckets.items() if bucket.is_full(now)]:
            del self._buckets[requester]
        return due

    def forget(self, requester: NodeId) -> None:
        """Drop the waiting request of a node that has left."""
        self._remove_waiting(requester)

    def _remove_waiting(self, requester: NodeId) -> None:
        waiting = self._waiting.pop(requester, None)
        if waiting is not None:
            self._waiting_bytes -= len(waiting[1].topics)
