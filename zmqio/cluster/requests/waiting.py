"""Wait for the responses of other nodes: `PendingRequests` with futures and time-outs."""

import asyncio
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias

from zmqio.cluster.requests.pending import PendingRequest, PendingRequests
from zmqio.cluster.requests.rows import count_rows
from zmqio.exceptions import RequestTimeoutError
from zmqio.ids import NodeId

LEFT = "this node left the bus"
"""Why a request ends before its time-out although nodes have not responded."""

__all__ = ["BatchReader", "PendingResponses", "ResponseFuture"]

BatchReader: TypeAlias = Callable[[bytes], None]
"""Reads a batch of rows; raises EnvelopeError if it is malformed."""


class ResponseFuture:
    """The responses to one open request.

    Attributes:
        id: the request id, for the request's messages.
    """

    def __init__(self, request: PendingRequest, done: "asyncio.Future[str]") -> None:
        self.id = request.id
        self._request = request
        self._done = done

    async def result(self, timeout_s: float) -> list[Any]:
        """Wait until every node's response is complete, and return all responses in order of arrival.

        Raises:
            RequestTimeoutError: `timeout_s` has passed, a node died, or this node left the bus.
                The error holds the responses that have arrived and names the missing nodes.
        """
        request = self._request
        if not request.complete:
            await asyncio.wait((self._done,), timeout=timeout_s)
        if request.complete and not request.dead:
            return request.responses
        missing = request.missing
        raise RequestTimeoutError(
            _explain(request, missing, timeout_s, self._done.result() if self._done.done() else ""),
            responses=request.responses,
            expected=max(request.expected, request.received + len(missing)),
            missing=missing,
        )


class PendingResponses:
    """The responses that one node is waiting for.

    Attributes:
        requests: the open requests.
    """

    def __init__(self) -> None:
        self.requests = PendingRequests()
        self._done: dict[int, asyncio.Future[str]] = {}
        self._readers: dict[int, BatchReader] = {}

    @contextmanager
    def open(self, nodes: Collection[NodeId], read: BatchReader | None = None) -> Iterator[ResponseFuture]:
        """Open a request to `nodes`. Leaving the block closes it; later responses are ignored.

        Args:
            nodes: the nodes that respond.
            read: called with each batch as it arrives; the result then has no batches.
        """
        request = self.requests.open(nodes)
        if read is not None:
            self._readers[request.id] = read
        done = self._done[request.id] = asyncio.get_running_loop().create_future()
        try:
            yield ResponseFuture(request, done)
        finally:
            self.requests.close(request)
            del self._done[request.id]
            self._readers.pop(request.id, None)
            done.cancel()

    def set_expected(self, request_id: int, node_id: NodeId, count: int) -> None:
        """Record how many clients a node has asked."""
        self._resolve(self.requests.set_expected(request_id, node_id, count))

    def add_response(self, request_id: int, node_id: NodeId, value: Any) -> None:
        """Record the answer of one client of a node."""
        self._resolve(self.requests.add_response(request_id, node_id, value))

    def add_batch(self, request_id: int, node_id: NodeId, batch: bytes, *, last: bool) -> None:
        """Record a batch of a node's response. It stays packed: the caller unpacks it in slices.

        Raises:
            EnvelopeError: `batch` is not a packed list.
        """
        count, read = count_rows(batch), self._readers.get(request_id)
        if read is not None:
            read(batch)
        kept = (batch,) if read is None else ()
        self._resolve(self.requests.add_batch(request_id, node_id, kept, last=last, count=count))

    def remove_node(self, node_id: NodeId, *, died: bool) -> None:
        """Stop waiting for a node; requests that waited only for it are resolved."""
        for request in self.requests.remove_node(node_id, died=died):
            self._resolve(request)

    def fail_all(self) -> None:
        """Stop all waiting: this node has left the bus and receives no more responses."""
        for done in self._done.values():
            if not done.done():
                done.set_result(LEFT)

    def _resolve(self, request: PendingRequest | None) -> None:
        done = self._done.get(request.id) if request is not None else None
        if done is not None and not done.done():
            done.set_result("")


def _explain(request: PendingRequest, missing: Sequence[NodeId], timeout_s: float, ended: str) -> str:
    if request.complete:
        return f"nodes died before responding: {', '.join(missing)}"
    if ended:
        return f"received {request.received} responses, then {ended}"
    if missing:
        return f"no response within {timeout_s:g} s from nodes {', '.join(missing)}"
    return f"received {request.received} of {request.expected} responses within {timeout_s:g} s"
