"""Requests to all nodes on behalf of clients, sent together: thousands may return after the death of a node.

The first request is sent at once. Those of the next `INTERVAL_S` are sent in one message, and so on. This module
knows rows and node ids; it must not know what the rows mean.
"""

import asyncio
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeAlias

from zmqio.cluster.node import Node
from zmqio.cluster.requests.rows import pack_rows
from zmqio.exceptions import BusError, EnvelopeError, RequestTimeoutError
from zmqio.ids import NodeId
from zmqio.protocol.messages import Message
from zmqio.protocol.values import unpack_list

__all__ = ["MAX_REQUESTS", "BatchedAnswer", "BatchedRequests"]

INTERVAL_S = 0.02
"""Seconds between two messages, unless one is full. A client that returns alone does not wait."""
MAX_REQUESTS = 200
"""Most requests in one message: the node that holds 200 sessions packs them in about 5 ms."""
HEADROOM_BYTES = 1_024
"""Bytes that topic, envelope and the header of the list add to the rows of a message."""

SharedReader: TypeAlias = Callable[[Sequence[Any]], tuple[Hashable, Any]]
"""Reads a row that belongs to several requests of a message: (its key, its value)."""


@dataclass(slots=True)
class BatchedAnswer:
    """The answers of the other nodes to one request.

    Attributes:
        rows: the rows about it, without the index, in order of arrival.
        shared: the rows of its message that belong to several requests, by key. Do not change it.
        silent: nodes that did not answer in time, or died before.
    """

    rows: list[Sequence[Any]] = field(default_factory=list)
    shared: dict[Hashable, Any] = field(default_factory=dict)
    silent: tuple[NodeId, ...] = ()


@dataclass(slots=True, eq=False)
class _Waiting:
    packed: bytes
    done: "asyncio.Future[BatchedAnswer]"
    answer: BatchedAnswer

    def finish(self) -> None:
        if not self.done.done():
            self.done.set_result(self.answer)


class BatchedRequests:
    """The requests of one kind that this node sends.

    Args:
        node: this node.
        make: makes a message from a request id and the packed list of its requests.
        timeout_s: seconds until a node that has not answered is silent.
        ends: whether a row is the answer, so that its request does not wait for the other nodes.
        unclaimed: called with each such row if its request has already ended, or was cancelled.
        read_shared: reads the rows whose first value is not an index.
    """

    def __init__(
        self,
        node: Node,
        make: Callable[[int, bytes], Message],
        timeout_s: float,
        *,
        ends: Callable[[Sequence[Any]], bool] = lambda row: False,
        unclaimed: Callable[[Sequence[Any]], None] = lambda row: None,
        read_shared: SharedReader | None = None,
    ) -> None:
        self._node = node
        self._make = make
        self._timeout_s = timeout_s
        self._ends = ends
        self._unclaimed = unclaimed
        self._read_shared = read_shared
        self._max_bytes = max(node.options.max_message_bytes - HEADROOM_BYTES, 1)
        self._waiting: list[_Waiting] = []
        self._waiting_bytes = 0
        self._timer: asyncio.TimerHandle | None = None

    async def ask(self, packed: bytes) -> BatchedAnswer:
        """Send a request to all nodes, and wait for the row that ends it, or for all of them.

        Args:
            packed: the request, a row packed by `pack_values`.
        """
        if self._waiting and self._waiting_bytes + len(packed) > self._max_bytes:
            self._send()
        done: asyncio.Future[BatchedAnswer] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(packed, done, BatchedAnswer()))
        self._waiting_bytes += len(packed)
        if self._timer is None or len(self._waiting) == MAX_REQUESTS:
            self._send()
        return await done

    def _send(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(INTERVAL_S, self._interval_over)
        batch, self._waiting, self._waiting_bytes = self._waiting, [], 0
        self._node.spawn(self._exchange(batch))

    def _interval_over(self) -> None:
        self._timer = None
        if self._waiting:
            self._send()

    async def _exchange(self, batch: list[_Waiting]) -> None:
        peers, shared = tuple(self._node.peers), dict[Hashable, Any]()
        silent = peers  # whatever goes wrong, a node counts as silent until it has answered
        try:
            if peers:
                with self._node.responses.open(peers, partial(self._read, batch, shared)) as request:
                    (rows,) = pack_rows((waiting.packed for waiting in batch), self._max_bytes + HEADROOM_BYTES)
                    message = self._make(request.id, rows)
                    # Without a broker, the message waits: a broker that restarts costs no client its session.
                    self._node.outbox.publish(self._node.all_topic, message)
                    await request.result(self._timeout_s)
            silent = ()
        except RequestTimeoutError as error:
            silent = tuple(NodeId(node_id) for node_id in error.missing)
        except BusError:
            pass
        finally:
            for waiting in batch:
                waiting.answer.shared, waiting.answer.silent = shared, silent
                waiting.finish()

    def _read(self, batch: list[_Waiting], shared: dict[Hashable, Any], rows: bytes) -> None:
        for row in unpack_list(rows):
            if type(row) is not list or not row:
                raise EnvelopeError("a row of a response must be a list that is not empty")
            if type(row[0]) is int:
                self._read_row(batch, row[0], row[1:])
            elif self._read_shared is not None:
                key, value = self._read_shared(row)
                shared[key] = value

    def _read_row(self, batch: list[_Waiting], index: int, row: Sequence[Any]) -> None:
        if not 0 <= index < len(batch):
            raise EnvelopeError(f"a row of a response is about request {index} of {len(batch)}")
        waiting, ends = batch[index], self._ends(row)
        if not waiting.done.done():
            waiting.answer.rows.append(row)
            if ends:
                waiting.finish()
        elif ends:
            self._unclaimed(row)
