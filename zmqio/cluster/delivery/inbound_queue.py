"""Messages on their way from the bus to the adapters: at once, or behind what was replayed before them.

An answer to a replay request can hold thousands of messages. They are handed on in slices that leave the loop
free, and whatever comes meanwhile queues behind them, so nothing is overtaken.

Queue and policy: at most one answer (5,000 messages, 1 MiB) of each node that was asked, and what comes meanwhile.
Each turn of the loop takes away twice what a link brings in one, and nobody is asked for more until it is empty.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

__all__ = ["SLICE_MESSAGES", "InboundQueue"]

SLICE_MESSAGES = 512
"""Handed on in one turn of the loop; a link brings at most 256 in one."""

T = TypeVar("T")


class InboundQueue(Generic[T]):
    """The FIFO of one node.

    Args:
        hand_on: takes one message; must not raise.
        idle: called when the queue has become empty.
    """

    def __init__(self, hand_on: Callable[[T], None], idle: Callable[[], None]) -> None:
        self._hand_on = hand_on
        self._idle = idle
        self._queue: deque[T] = deque()

    @property
    def busy(self) -> bool:
        """Whether something waits."""
        return bool(self._queue)

    def take(self, message: T) -> None:
        """Hand on one message, behind what waits."""
        if self._queue:
            self._queue.append(message)
        else:
            self._hand_on(message)

    def take_many(self, messages: Iterable[T]) -> None:
        """Hand on many, in later turns of the loop."""
        was_busy = self.busy
        self._queue.extend(messages)
        if self._queue and not was_busy:
            asyncio.get_running_loop().call_soon(self._turn)

    def clear(self) -> None:
        """Drop what waits: the node has stopped."""
        self._queue.clear()

    def _turn(self) -> None:
        for _ in range(SLICE_MESSAGES):
            if not self._queue:
                break
            self._hand_on(self._queue[0])
            # Only now: what `hand_on` brings in itself stays behind this one.
            if self._queue:
                self._queue.popleft()
        if self._queue:
            asyncio.get_running_loop().call_soon(self._turn)
        else:
            self._idle()
