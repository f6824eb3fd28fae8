"""One FIFO of broadcasts per process: large ones are written in slices, so that the event loop stays responsive.

While nothing is queued, a broadcast to at most `slice_members` sockets is written at once. A larger one is written
in slices, with a turn of the event loop between them. Until it is finished, all later broadcasts queue behind it,
so that a small room never overtakes a large one. Before a direct write to one socket, the caller calls
`flush_for`, which delivers the broadcasts that are queued for that socket. Each client therefore receives
everything in the order in which it was sent.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

__all__ = ["MAX_DELIVERIES", "SLICE_MEMBERS", "BroadcastWrite", "FanOut"]

SLICE_MEMBERS = 200
"""Most members that are written to in one turn of the event loop: about 3 ms at the 15 us that a write costs with
10,000 open sockets (the target is 10 ms)."""
MAX_DELIVERIES = 1_000
"""Most broadcasts that are queued. Beyond that, the oldest is written synchronously. Nothing is dropped; the
sender is delayed instead."""

Writer = TypeVar("Writer")
Payload = TypeVar("Payload")
Writer_contra = TypeVar("Writer_contra", contravariant=True)
Payload_contra = TypeVar("Payload_contra", contravariant=True)


class BroadcastWrite(Protocol[Writer_contra, Payload_contra]):
    """Write to sockets by their writers, None for a socket that has disconnected; never blocks."""

    def __call__(
        self, writers: Iterable[Writer_contra | None], payload: Payload_contra, /, *, volatile: bool
    ) -> None: ...


@dataclass(slots=True)
class _QueuedBroadcast(Generic[Writer, Payload]):
    """A broadcast that is partly written.

    Attributes:
        sids: the sockets to reach, in order.
        writers: socket id -> writer, looked up at the time of the write.
        done: number of `sids` that have been processed.
        waiting: the unprocessed ids that have not been flushed; created by the first `flush_for`.
    """

    write_all: BroadcastWrite[Writer, Payload]
    payload: Payload
    volatile: bool
    sids: Sequence[str]
    writers: Mapping[str, Writer]
    done: int = 0
    waiting: set[str] | None = None

    @property
    def left(self) -> int:
        return len(self.sids) - self.done

    def write_some(self, most: int) -> None:
        """Write to the next `most` sockets."""
        sids: Iterable[str] = self.sids[self.done : self.done + most]
        self.done += most
        if self.waiting is not None:
            sids = [sid for sid in sids if sid in self.waiting]
            self.waiting.difference_update(sids)
        self._write(sids)

    def flush_for(self, sid: str) -> None:
        """Write to one socket now, unless that has happened."""
        if self.waiting is None:
            self.waiting = set(self.sids[self.done :])
        if sid in self.waiting:
            self.waiting.remove(sid)
            self._write((sid,))

    def _write(self, sids: Iterable[str]) -> None:
        self.write_all(map(self.writers.get, sids), self.payload, volatile=self.volatile)


class FanOut(Generic[Writer, Payload]):
    """The FIFO. All namespaces of a server share one, because a connection may be in all of them.

    Args:
        write_all: writes a payload to sockets.
        call_soon: runs a function in the next turn of the event loop; None uses the running loop.
        slice_members: most members that are written to in one turn.
        max_deliveries: most broadcasts that are queued; see `MAX_DELIVERIES`.
    """

    def __init__(
        self,
        write_all: BroadcastWrite[Writer, Payload],
        call_soon: Callable[[Callable[[], None]], object] | None = None,
        slice_members: int = SLICE_MEMBERS,
        max_deliveries: int = MAX_DELIVERIES,
    ) -> None:
        self._write_all = write_all
        self._call_soon = call_soon
        self._slice_members = slice_members
        self._max_deliveries = max_deliveries
        self._queue: deque[_QueuedBroadcast[Writer, Payload]] = deque()
        self._is_scheduled = False

    @property
    def busy(self) -> bool:
        """Whether broadcasts are queued."""
        return bool(self._queue)

    def deliver(
        self, sids: Collection[str], writers: Mapping[str, Writer], payload: Payload, *, volatile: bool
    ) -> None:
        """Write `payload` to each of `sids`, at once or after the broadcasts that are queued.

        Args:
            sids: the sockets to reach; must not be a collection that a write could change. Copied if queued.
            writers: socket id -> writer, looked up at the time of the write; ids without a writer are skipped.
            payload: the packet to write.
            volatile: passed to `write_all`.
        """
        if not self._queue and len(sids) <= self._slice_members:
            self._write_all(map(writers.get, sids), payload, volatile=volatile)
            return
        while len(self._queue) >= self._max_deliveries:
            oldest = self._queue.popleft()
            oldest.write_some(oldest.left)
        self._queue.append(_QueuedBroadcast(self._write_all, payload, volatile, tuple(sids), writers))
        self._schedule_slice()

    def flush_for(self, sid: str) -> None:
        """Write the queued broadcasts for one socket now, so that a direct write comes after them."""
        for broadcast in self._queue:
            broadcast.flush_for(sid)

    def _schedule_slice(self) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            (self._call_soon or asyncio.get_running_loop().call_soon)(self._run_slice)

    def _run_slice(self) -> None:
        self._is_scheduled = False
        members = self._slice_members
        while self._queue and members > 0:
            broadcast = self._queue[0]
            count = min(members, broadcast.left)
            broadcast.write_some(count)
            members -= max(count, 1)
            if not broadcast.left:
                self._queue.popleft()
        if self._queue:
            self._schedule_slice()
