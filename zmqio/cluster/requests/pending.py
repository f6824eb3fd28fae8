"""Requests that this node has sent to other nodes, and the responses received so far.

Pure. Knows node ids and values; must not know topics, futures or the clock. Time-outs are the caller's
responsibility: the caller closes the request when it expires.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import Any

from zmqio.ids import NodeId

__all__ = ["PendingRequest", "PendingRequests"]


class _NodeProgress:
    """The number of responses expected from one node (None until it reports that), and of those received."""

    __slots__ = ("expected", "received")

    def __init__(self) -> None:
        self.expected: int | None = None
        self.received = 0

    @property
    def complete(self) -> bool:
        return self.expected is not None and self.received >= self.expected


class PendingRequest:
    """One request to several nodes.

    Attributes:
        id: the request id, which every response carries.
        responses: the received ones, in order of arrival: single values, or packed batches of several.
        received: number of values that have arrived.
        dead: nodes that died before their response was complete.
    """

    def __init__(self, request_id: int, nodes: Iterable[NodeId]) -> None:
        self.id = request_id
        self.responses: list[Any] = []
        self.received = 0
        self.dead: list[NodeId] = []
        self._progress = {node_id: _NodeProgress() for node_id in nodes}
        self._incomplete = len(self._progress)
        self._expected_of_removed = 0

    @property
    def complete(self) -> bool:
        """Whether no more responses are expected."""
        return self._incomplete == 0

    @property
    def missing(self) -> list[NodeId]:
        """Nodes that have not responded: the dead ones first, then the silent ones.

        A node that has reported how many clients it asked is not missing, even if none of those clients answers.
        """
        return self.dead + [node_id for node_id, node in self._progress.items() if node.expected is None]

    @property
    def expected(self) -> int:
        """Responses due, as far as the nodes have reported; never fewer than have arrived."""
        known = sum(node.expected or 0 for node in self._progress.values()) + self._expected_of_removed
        return max(known, self.received)

    def progress_of(self, node_id: NodeId) -> _NodeProgress:
        # Every node received the request, even one that this node does not know yet; its response counts, too.
        node = self._progress.get(node_id)
        if node is None:
            node = self._progress[node_id] = _NodeProgress()
            self._incomplete += 1
        return node

    def set_expected(self, node: _NodeProgress, count: int) -> bool:
        if node.expected is not None and (node.complete or count >= node.expected):
            return False
        node.expected = count
        self._incomplete -= node.complete
        return True

    def add(self, node: _NodeProgress, values: Sequence[Any], count: int) -> bool:
        if node.complete:
            return False
        node.received += count
        self.received += count
        self.responses.extend(values)
        self._incomplete -= node.complete
        return True

    def remove_node(self, node_id: NodeId, *, died: bool) -> bool:
        node = self._progress.pop(node_id, None)
        if node is None:
            return False
        if node.complete:
            self._expected_of_removed += node.expected or 0
            return False
        self._incomplete -= 1
        self._expected_of_removed += (node.expected or 0) if died else node.received
        if died:
            self.dead.append(node_id)
        return True


class PendingRequests:
    """All open requests of one node.

    Attributes:
        ignored: number of ignored responses by kind: `late` (the request was closed), `duplicate` (that node's
            response was complete) or `unknown` (no request ever had that id).
    """

    def __init__(self) -> None:
        self.ignored: Counter[str] = Counter()
        self._next_id = 1
        self._open: dict[int, PendingRequest] = {}

    def __len__(self) -> int:
        return len(self._open)

    def open(self, nodes: Collection[NodeId]) -> PendingRequest:
        """Open a request to `nodes`. It is complete once each of them has responded; at once if there are none."""
        request = PendingRequest(self._next_id, nodes)
        self._next_id += 1
        self._open[request.id] = request
        return request

    def close(self, request: PendingRequest) -> None:
        """Close a request; later responses are ignored. Closing it again does nothing."""
        self._open.pop(request.id, None)

    def set_expected(self, request_id: int, node_id: NodeId, count: int) -> PendingRequest | None:
        """Record how many clients a node has asked; each client's answer arrives by `add_response`.

        A lower number replaces the earlier one: clients have disconnected that had not answered.

        Returns:
            The request if this completed it; None if it is still incomplete, or if the report was ignored.
        """
        request = self._find(request_id)
        if request is None:
            return None
        return self._if_complete(request, request.set_expected(request.progress_of(node_id), count))

    def add_response(self, request_id: int, node_id: NodeId, value: Any) -> PendingRequest | None:
        """Record the answer of one client of a node. Returns the same as `set_expected`."""
        request = self._find(request_id)
        if request is None:
            return None
        return self._if_complete(request, request.add(request.progress_of(node_id), (value,), 1))

    def add_batch(
        self, request_id: int, node_id: NodeId, values: Sequence[Any], *, last: bool, count: int | None = None
    ) -> PendingRequest | None:
        """Record a batch of a node's response. Returns the same as `set_expected`.

        Args:
            request_id: the request that the batch belongs to.
            node_id: the responding node.
            values: the received values.
            last: whether this batch completes the node's response.
            count: how many values that is, if `values` holds packed batches; None counts each of `values` as one.
        """
        request = self._find(request_id)
        if request is None:
            return None
        node = request.progress_of(node_id)
        added = request.add(node, values, len(values) if count is None else count)
        if added and last:
            request.set_expected(node, node.received)
        return self._if_complete(request, added)

    def remove_node(self, node_id: NodeId, *, died: bool) -> list[PendingRequest]:
        """Stop expecting responses from a node.

        Args:
            node_id: the node.
            died: whether to name the node as missing. A node that left with a goodbye had nothing more to send.

        Returns:
            The requests that this completed.
        """
        return [
            request
            for request in self._open.values()
            if request.remove_node(node_id, died=died) and request.complete
        ]

    def _find(self, request_id: int) -> PendingRequest | None:
        request = self._open.get(request_id)
        if request is None:
            self.ignored["late" if 0 < request_id < self._next_id else "unknown"] += 1
        return request

    def _if_complete(self, request: PendingRequest, added: bool) -> PendingRequest | None:
        if not added:
            self.ignored["duplicate"] += 1
        return request if added and request.complete else None
