"""What this node asked the others, and what they answered so far.

Pure. Knows node ids and values; no topics, futures or clock: how long an answer may take is the asker's affair,
who closes the request when its time is up.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from zmqio.ids import NodeId

__all__ = ["PendingRequest", "PendingRequests"]


class _NodeShare:
    """What is due from one node: `expected` answers, None until it says how many."""

    __slots__ = ("expected", "received")

    def __init__(self) -> None:
        self.expected: int | None = None
        self.received = 0

    @property
    def complete(self) -> bool:
        return self.expected is not None and self.received >= self.expected


class PendingRequest:
    """One question to several nodes.

    Attributes:
        id: what the answers carry.
        answers: what came, in the order in which it came: values, or packed lists of several.
        received: how many values came.
        lost: nodes that died before they had said everything.
    """

    def __init__(self, request_id: int, nodes: Iterable[NodeId]) -> None:
        self.id = request_id
        self.answers: list[Any] = []
        self.received = 0
        self.lost: list[NodeId] = []
        self._shares = {node_id: _NodeShare() for node_id in nodes}
        self._open = len(self._shares)
        self._expected_of_gone = 0

    @property
    def complete(self) -> bool:
        """Whether nothing more is to come."""
        return self._open == 0

    @property
    def missing(self) -> list[NodeId]:
        """The nodes that have not answered: those that died, then those that are silent.

        A node that has said how many clients it asked is not missing, be they all silent.
        """
        return self.lost + [node_id for node_id, share in self._shares.items() if share.expected is None]

    @property
    def expected(self) -> int:
        """How many answers are due, as far as the nodes have said; never fewer than came."""
        known = sum(share.expected or 0 for share in self._shares.values()) + self._expected_of_gone
        return max(known, self.received)

    def share(self, node_id: NodeId) -> _NodeShare:
        # A node that this one did not know yet heard the question all the same: its answers belong to it.
        share = self._shares.get(node_id)
        if share is None:
            share = self._shares[node_id] = _NodeShare()
            self._open += 1
        return share

    def expect(self, share: _NodeShare, count: int) -> bool:
        if share.expected is not None:
            return False
        share.expected = count
        self._open -= share.complete
        return True

    def take(self, share: _NodeShare, values: Sequence[Any], count: int) -> bool:
        if share.complete:
            return False
        share.received += count
        self.received += count
        self.answers.extend(values)
        self._open -= share.complete
        return True

    def leave(self, node_id: NodeId, *, died: bool) -> bool:
        share = self._shares.pop(node_id, None)
        if share is None:
            return False
        if share.complete:
            self._expected_of_gone += share.expected or 0
            return False
        self._open -= 1
        self._expected_of_gone += share.expected or 0 if died else share.received
        if died:
            self.lost.append(node_id)
        return True


class PendingRequests:
    """The open requests of one node.

    Attributes:
        ignored: answers that were `late` (the request was closed), `doubled` (that node had said everything) or
            `unknown` (nobody asked).
    """

    def __init__(self) -> None:
        self.ignored: Counter[str] = Counter()
        self._next_id = 1
        self._open: dict[int, PendingRequest] = {}

    def __len__(self) -> int:
        return len(self._open)

    def open(self, nodes: Collection[NodeId]) -> PendingRequest:
        """Begin a request that is complete when each of `nodes` has said everything; at once if there are none."""
        request = PendingRequest(self._next_id, nodes)
        self._next_id += 1
        self._open[request.id] = request
        return request

    def close(self, request: PendingRequest) -> None:
        """End a request; what comes later is ignored. Closing twice does nothing."""
        self._open.pop(request.id, None)

    def expect(self, request_id: int, node_id: NodeId, count: int) -> PendingRequest | None:
        """A node says how many clients it asked; their answers come one by one (`answer`).

        Returns:
            The request, if this completed it; None if not, or if it was ignored.
        """
        request = self._find(request_id)
        if request is None:
            return None
        return self._noted(request, request.expect(request.share(node_id), count))

    def answer(self, request_id: int, node_id: NodeId, value: Any) -> PendingRequest | None:
        """One client of a node answered. Returns as `expect`."""
        request = self._find(request_id)
        if request is None:
            return None
        return self._noted(request, request.take(request.share(node_id), (value,), 1))

    def part(
        self, request_id: int, node_id: NodeId, values: Sequence[Any], *, last: bool, count: int | None = None
    ) -> PendingRequest | None:
        """A node said a part of its answer, perhaps the last. Returns as `expect`.

        Args:
            request_id, node_id: what is answered, and by whom.
            values: what came.
            last: whether the node has nothing more to say.
            count: how many values that is; None if each of `values` is one.
        """
        request = self._find(request_id)
        if request is None:
            return None
        share = request.share(node_id)
        taken = request.take(share, values, len(values) if count is None else count)
        if taken and last:
            request.expect(share, share.received)
        return self._noted(request, taken)

    def node_gone(self, node_id: NodeId, *, died: bool) -> list[PendingRequest]:
        """A node will say nothing more.

        Args:
            node_id: the node.
            died: requests that waited for it name it as missing; one that said goodbye had nothing more to say.

        Returns:
            The requests that this completed.
        """
        return [
            request for request in self._open.values() if request.leave(node_id, died=died) and request.complete
        ]

    def all_open(self) -> list[PendingRequest]:
        """The requests that still wait."""
        return list(self._open.values())

    def _find(self, request_id: int) -> PendingRequest | None:
        request = self._open.get(request_id)
        if request is None:
            self.ignored["late" if 0 < request_id < self._next_id else "unknown"] += 1
        return request

    def _noted(self, request: PendingRequest, taken: bool) -> PendingRequest | None:
        if not taken:
            self.ignored["doubled"] += 1
        return request if taken and request.complete else None
