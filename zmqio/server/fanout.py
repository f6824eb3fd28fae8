"""One FIFO of deliveries per process, so that a big broadcast leaves the loop free and keeps every order.

A delivery to at most `slice_members` sockets happens at once while nothing waits. A bigger one is cut into
slices with a turn of the loop between them, and then everything later queues behind it: no small room
overtakes a big one. Who writes to one socket directly calls `catch_up` first, which delivers to that socket
what still waits for it. So each client sees what it gets in the order in which it was sent.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

__all__ = ["SLICE_MEMBERS", "FanOut"]

SLICE_MEMBERS = 500
"""Most members that are written to in one turn of the loop: about 3 ms at 6 us each (the target is 10 ms)."""

Payload_contra = TypeVar("Payload_contra", contravariant=True)
Payload = TypeVar("Payload")


class Write(Protocol[Payload_contra]):
    """Write to one socket; never blocks."""

    def __call__(self, payload: Payload_contra, /, *, volatile: bool) -> None: ...


@dataclass(slots=True)
class _Delivery(Generic[Payload]):
    payload: Payload
    volatile: bool
    waiting: dict[str, Write[Payload]]


class FanOut(Generic[Payload]):
    """The FIFO. Several namespaces share one: a connection may be in all of them.

    Args:
        call_soon: runs a function in the next turn of the loop; None takes it from the running loop.
        slice_members: most members written to in one turn.
    """

    def __init__(
        self,
        call_soon: Callable[[Callable[[], None]], object] | None = None,
        slice_members: int = SLICE_MEMBERS,
    ) -> None:
        self._call_soon = call_soon
        self._slice_members = slice_members
        self._deliveries: deque[_Delivery[Payload]] = deque()

    @property
    def busy(self) -> bool:
        """Whether deliveries wait for their turn."""
        return bool(self._deliveries)

    def deliver(self, members: Iterable[tuple[str, Write[Payload]]], payload: Payload, *, volatile: bool) -> None:
        """Write `payload` to each of `members` (sid, write), now or when its turn comes."""
        waiting = dict(members)
        if not self._deliveries and len(waiting) <= self._slice_members:
            for write in waiting.values():
                write(payload, volatile=volatile)
            return
        self._deliveries.append(_Delivery(payload, volatile, waiting))
        if len(self._deliveries) == 1:
            self._next_turn()

    def catch_up(self, sid: str) -> None:
        """Deliver now what still waits for `sid`, so that a direct write comes after it."""
        for delivery in self._deliveries:
            write = delivery.waiting.pop(sid, None)
            if write is not None:
                write(delivery.payload, volatile=delivery.volatile)

    def _next_turn(self) -> None:
        call_soon = self._call_soon or asyncio.get_running_loop().call_soon
        call_soon(self._turn)

    def _turn(self) -> None:
        left = self._slice_members
        while self._deliveries and left > 0:
            left -= self._write_some(self._deliveries[0], left)
            if not self._deliveries[0].waiting:
                self._deliveries.popleft()
        if self._deliveries:
            self._next_turn()

    @staticmethod
    def _write_some(delivery: _Delivery[Payload], most: int) -> int:
        count = 0
        waiting = delivery.waiting
        while waiting and count < most:
            _, write = waiting.popitem()
            write(delivery.payload, volatile=delivery.volatile)
            count += 1
        return max(count, 1)
