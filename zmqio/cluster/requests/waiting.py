"""Await the answers of other nodes: `PendingRequests` with futures and time limits."""

import asyncio
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from zmqio.cluster.requests.pending import PendingRequest, PendingRequests
from zmqio.cluster.requests.rows import count_rows
from zmqio.exceptions import RequestTimeoutError
from zmqio.ids import NodeId

__all__ = ["PendingResponses", "ResponseFuture"]


class ResponseFuture:
    """An open request, as whoever asked it sees it.

    Attributes:
        id: what its messages carry.
    """

    def __init__(self, request: PendingRequest, done: asyncio.Future[None]) -> None:
        self.id = request.id
        self._request = request
        self._done = done

    async def answers(self, timeout_s: float) -> list[Any]:
        """Wait until every node has said everything.

        Raises:
            RequestTimeoutError: `timeout_s` is over, or a node died; it keeps what came and names who is missing.
        """
        request = self._request
        if not request.complete:
            await asyncio.wait((self._done,), timeout=timeout_s)
        if request.complete and not request.lost:
            return request.answers
        missing = request.missing
        raise RequestTimeoutError(
            _explain(request, missing, timeout_s),
            responses=request.answers,
            expected=max(request.expected, request.received + len(missing)),
            missing=missing,
        )


class PendingResponses:
    """The questions of one node.

    Attributes:
        requests: what is awaited.
    """

    def __init__(self) -> None:
        self.requests = PendingRequests()
        self._done: dict[int, asyncio.Future[None]] = {}

    @contextmanager
    def ask(self, nodes: Collection[NodeId]) -> Iterator[ResponseFuture]:
        """Open a question to `nodes`; it is closed on leaving the block, and what comes later is ignored."""
        request = self.requests.open(nodes)
        done = self._done[request.id] = asyncio.get_running_loop().create_future()
        try:
            yield ResponseFuture(request, done)
        finally:
            self.requests.close(request)
            del self._done[request.id]
            done.cancel()

    def expect(self, request_id: int, node_id: NodeId, count: int) -> None:
        """A node says how many clients it asked."""
        self._settle(self.requests.expect(request_id, node_id, count))

    def answer(self, request_id: int, node_id: NodeId, value: Any) -> None:
        """One client of a node answered."""
        self._settle(self.requests.answer(request_id, node_id, value))

    def packed_part(self, request_id: int, node_id: NodeId, part: bytes, *, last: bool) -> None:
        """A node said a part of its answer. It is kept packed: who asked unpacks it in slices.

        Raises:
            ValueError: it is no packed list.
        """
        count = count_rows(part)
        self._settle(self.requests.part(request_id, node_id, (part,), last=last, count=count))

    def node_gone(self, node_id: NodeId, *, died: bool) -> None:
        """A node will say nothing more; requests that waited for it alone are over."""
        for request in self.requests.node_gone(node_id, died=died):
            self._settle(request)

    def give_up(self) -> None:
        """This node leaves the bus: nothing more will be heard, so nobody waits for it."""
        for done in self._done.values():
            if not done.done():
                done.set_result(None)

    def _settle(self, request: PendingRequest | None) -> None:
        done = self._done.get(request.id) if request is not None else None
        if done is not None and not done.done():
            done.set_result(None)


def _explain(request: PendingRequest, missing: Sequence[NodeId], timeout_s: float) -> str:
    if request.complete:
        return f"nodes went away before they had answered: {', '.join(missing)}"
    if missing:
        return f"no answer within {timeout_s:g} s from nodes {', '.join(missing)}"
    return f"{request.received} of {request.expected} answers came within {timeout_s:g} s"
