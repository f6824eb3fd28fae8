"""One FIFO of deliveries per process, so that a big broadcast leaves the loop free and keeps every order.

A delivery to at most `slice_members` sockets happens at once while nothing waits. A bigger one is cut into
slices with a turn of the loop between them, and then everything later queues behind it: no small room
overtakes a big one. Who writes to one socket directly calls `catch_up` first, which delivers to that socket
what still waits for it. So each client sees what it gets in the order in which it was sent.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

__all__ = ["MAX_DELIVERIES", "SLICE_MEMBERS", "BroadcastWrite", "FanOut"]

SLICE_MEMBERS = 200
"""Most members that are written to in one turn of the loop: about 3 ms at the 15 us that a write costs with 10,000
open sockets (the target is 10 ms)."""
MAX_DELIVERIES = 1_000
"""Most deliveries that wait. For one more, the oldest is written out at once: whoever sends, an application or the
bus, is held up by that much, and nothing is dropped."""

Writer = TypeVar("Writer")
Payload = TypeVar("Payload")
Writer_contra = TypeVar("Writer_contra", contravariant=True)
Payload_contra = TypeVar("Payload_contra", contravariant=True)


class BroadcastWrite(Protocol[Writer_contra, Payload_contra]):
    """Write to sockets, each by its writer, or None for one that has gone; never blocks."""

    def __call__(
        self, writers: Iterable[Writer_contra | None], payload: Payload_contra, /, *, volatile: bool
    ) -> None: ...


@dataclass(slots=True)
class _Delivery(Generic[Writer, Payload]):
    """A broadcast on its way.

    Attributes:
        sids: whom it reaches, in order.
        writers: the sockets that are there, as they are when their turn comes.
        done: how many of `sids` were looked at.
        waiting: those of the rest that do not have it yet; made by the first `catch_up`, the only one that asks.
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
        """Write to the next `most` sids."""
        sids: Iterable[str] = self.sids[self.done : self.done + most]
        self.done += most
        if self.waiting is not None:
            sids = [sid for sid in sids if sid in self.waiting]
            self.waiting.difference_update(sids)
        self._write(sids)

    def catch_up(self, sid: str) -> None:
        """Write to one sid now, if it still waits."""
        if self.waiting is None:
            self.waiting = set(self.sids[self.done :])
        if sid in self.waiting:
            self.waiting.remove(sid)
            self._write((sid,))

    def _write(self, sids: Iterable[str]) -> None:
        self.write_all(map(self.writers.get, sids), self.payload, volatile=self.volatile)


class FanOut(Generic[Writer, Payload]):
    """The FIFO. Several namespaces share one: a connection may be in all of them.

    Args:
        write_all: writes a payload to sockets.
        call_soon: runs a function in the next turn of the loop; None takes it from the running loop.
        slice_members: most members written to in one turn.
        max_deliveries: most deliveries that wait.
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
        self._deliveries: deque[_Delivery[Writer, Payload]] = deque()
        self._turn_is_due = False

    @property
    def busy(self) -> bool:
        """Whether deliveries wait for their turn."""
        return bool(self._deliveries)

    def deliver(
        self, sids: Collection[str], writers: Mapping[str, Writer], payload: Payload, *, volatile: bool
    ) -> None:
        """Write `payload` to each of `sids`, now or when its turn comes.

        Args:
            sids: whom it reaches; nothing that a write could change. Copied if it has to wait.
            writers: sid -> how to write to it, as it is when the turn comes; who is not in it is passed over.
            payload: what to write.
            volatile: passed on to the writes.
        """
        if not self._deliveries and len(sids) <= self._slice_members:
            self._write_all(map(writers.get, sids), payload, volatile=volatile)
            return
        while len(self._deliveries) >= self._max_deliveries:
            oldest = self._deliveries.popleft()
            oldest.write_some(oldest.left)
        self._deliveries.append(_Delivery(self._write_all, payload, volatile, tuple(sids), writers))
        self._next_turn()

    def catch_up(self, sid: str) -> None:
        """Deliver now what still waits for `sid`, so that a direct write comes after it."""
        for delivery in self._deliveries:
            delivery.catch_up(sid)

    def _next_turn(self) -> None:
        if not self._turn_is_due:
            self._turn_is_due = True
            (self._call_soon or asyncio.get_running_loop().call_soon)(self._turn)

    def _turn(self) -> None:
        self._turn_is_due = False
        members = self._slice_members
        while self._deliveries and members > 0:
            delivery = self._deliveries[0]
            count = min(members, delivery.left)
            delivery.write_some(count)
            members -= max(count, 1)
            if not delivery.left:
                self._deliveries.popleft()
        if self._deliveries:
            self._next_turn()
