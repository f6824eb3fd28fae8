"""A queue of replayed messages, and of live messages that arrive behind them.

An answer to a replay request can contain thousands of messages. They are delivered in slices, so that the event
loop stays responsive. Messages that arrive in the meantime queue behind them, so that order is preserved.

The queue holds at most one answer (5,000 messages, 1 MiB) of each node that was asked, and the messages that
arrive in the meantime. Each turn of the event loop delivers twice as many messages as a link receives in one turn,
and no node is asked for more until the queue is empty.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

__all__ = ["SLICE_MESSAGES", "InboundQueue"]

SLICE_MESSAGES = 512
"""Messages delivered in one turn of the event loop; a link receives at most 256 in one turn."""

T = TypeVar("T")


class InboundQueue(Generic[T]):
    """The FIFO queue of one node.

    Args:
        deliver: delivers one message; must not raise.
        on_empty: called when the queue has become empty.
    """

    def __init__(self, deliver: Callable[[T], None], on_empty: Callable[[], None]) -> None:
        self._deliver = deliver
        self._on_empty = on_empty
        self._queue: deque[T] = deque()

    @property
    def busy(self) -> bool:
        """Whether messages are queued."""
        return bool(self._queue)

    def append_if_busy(self, message: T) -> bool:
        """Queue a live message behind the replayed ones; False, and not queued, if the queue is empty."""
        if not self._queue:
            return False
        self._queue.append(message)
        return True

    def extend(self, messages: Iterable[T]) -> None:
        """Queue replayed messages; they are delivered in later turns of the event loop."""
        was_busy = self.busy
        self._queue.extend(messages)
        if self._queue and not was_busy:
            asyncio.get_running_loop().call_soon(self._deliver_slice)

    def clear(self) -> None:
        """Drop all queued messages."""
        self._queue.clear()

    def _deliver_slice(self) -> None:
        for _ in range(SLICE_MESSAGES):
            if not self._queue:
                break
            self._deliver(self._queue[0])
            # Removed only now, so that messages which `deliver` itself adds stay behind this one.
            if self._queue:
                self._queue.popleft()
        if self._queue:
            asyncio.get_running_loop().call_soon(self._deliver_slice)
        else:
            self._on_empty()
