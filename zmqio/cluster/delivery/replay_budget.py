"""Limits the messages that this node sends again to each node that asks. Pure.

A request is small, and its answer may have a megabyte. What a node sends again to one other node stays within
a share of what it publishes: at most `SHARE` times as many bytes, and `FLOOR_BYTES_PER_S`. So a node that cannot
keep up costs the others a limited part of their sending. A requester that missed the messages of an outage gets
them within half of that time, while new ones are published at the same rate.

Beyond the limit, the newest request of each requester waits until its answer is within the limit again. A
requester has one open request at a time, so an earlier one is no longer needed.
"""

from collections.abc import Callable
from dataclasses import dataclass

from zmqio.ids import NodeId
from zmqio.protocol.messages import ReplayRequest

__all__ = ["FLOOR_BYTES_PER_S", "MAX_WAITING_BYTES", "SAVED_BYTES", "SHARE", "UNKNOWN", "ReplayBudget"]

SHARE = 3
"""Bytes sent again to one node for each byte published, at most: three quarters of what is sent for that node."""
FLOOR_BYTES_PER_S = 1 << 20
"""Bytes per second besides, so that a node that publishes little can send again what it published before."""
SAVED_BYTES = 8 << 20
"""Bytes that are saved up, so that a short fault is repaired at once: 8 s of 4,000 small messages a second."""
MAX_WAITING_BYTES = 16 << 20
"""Most bytes of waiting requests, each with a filter of topics. Beyond that, the requester repeats its request."""

UNKNOWN = NodeId("")
"""Stands for all requesters from which no heartbeat has come: they share one budget."""


@dataclass(slots=True)
class _Account:
    """The bytes that one requester has left at a moment, and the bytes published until then."""

    left: float
    at: float
    published: int


class ReplayBudget:
    """The requesters that have used their share lately, and their waiting requests.

    Args:
        bytes_per_s: limit of each requester, however much is published.
        published_bytes: gives the bytes of all messages published so far.
        max_waiting_bytes: most bytes of waiting requests.
    """

    def __init__(
        self, bytes_per_s: int, published_bytes: Callable[[], int], max_waiting_bytes: int = MAX_WAITING_BYTES
    ) -> None:
        self._bytes_per_s = bytes_per_s
        self._saved_bytes = min(SAVED_BYTES, bytes_per_s)
        self._published_bytes = published_bytes
        self._max_waiting_bytes = max_waiting_bytes
        self._accounts: dict[NodeId, _Account] = {}
        self._waiting: dict[NodeId, tuple[NodeId, ReplayRequest, int]] = {}
        self._waiting_bytes = 0

    @property
    def is_waiting(self) -> bool:
        """Whether requests wait."""
        return bool(self._waiting)

    def allows(self, requester: NodeId, now: float) -> bool:
        """Whether a request may be answered now. If not, pass it to `wait`."""
        account = self._accounts.get(requester)
        return account is None or self._left(account, now) > 0

    def spend(self, requester: NodeId, size_bytes: int, now: float) -> None:
        """Count an answer. It may exceed what is left."""
        account = self._accounts.get(requester)
        left = self._saved_bytes if account is None else self._left(account, now)
        self._accounts[requester] = _Account(left - size_bytes, now, self._published_bytes())

    def wait(self, requester: NodeId, node_id: NodeId, request: ReplayRequest, link: int) -> bool:
        """Keep a request in place of the earlier one of its requester; False if there is no room for it.

        Args:
            requester: the node, or `UNKNOWN`.
            node_id: the node to answer.
            request: its request.
            link: the link by which it arrived.
        """
        self._remove_waiting(requester)
        if self._waiting_bytes + len(request.topics) > self._max_waiting_bytes:
            return False
        self._waiting[requester] = node_id, request, link
        self._waiting_bytes += len(request.topics)
        return True

    def take_due(self, now: float) -> list[tuple[NodeId, NodeId, ReplayRequest, int]]:
        """Remove and return the requests that may be answered now: requester, node to answer, request, link."""
        due = [
            (requester, *waiting) for requester, waiting in self._waiting.items() if self.allows(requester, now)
        ]
        for requester, *_ in due:
            self._remove_waiting(requester)
        full = [name for name, account in self._accounts.items() if self._left(account, now) >= self._saved_bytes]
        for requester in full:
            del self._accounts[requester]
        return due

    def forget(self, requester: NodeId) -> None:
        """Drop the waiting request of a node that has left."""
        self._remove_waiting(requester)

    def _left(self, account: _Account, now: float) -> float:
        elapsed_s = now - account.at
        earned = SHARE * (self._published_bytes() - account.published) + FLOOR_BYTES_PER_S * elapsed_s
        return min(self._saved_bytes, account.left + min(earned, self._bytes_per_s * elapsed_s))

    def _remove_waiting(self, requester: NodeId) -> None:
        waiting = self._waiting.pop(requester, None)
        if waiting is not None:
            self._waiting_bytes -= len(waiting[1].topics)
