"""Sessions whose clients have sent nothing yet: a limit on their time, and on the memory of their request heads.

Beyond the limit of memory the oldest ends first: a client that follows the protocol sends its first packet within
one round trip.

Knows nothing of sessions: members are any hashable objects.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

from zmqio.engine.deadline_queue import DeadlineQueue

__all__ = ["SilentSessions"]

MAX_HEAD_BYTES = 48 << 20
"""Most bytes of heads. 48,000 browsers may connect in the same moment; their heads have about 1 KB each."""

T = TypeVar("T")


class SilentSessions(Generic[T]):
    """Calls `expire` for each session whose client sends nothing.

    Args:
        timeout_s: seconds that a client has to send its first packet.
        expire: called with each session that must end; it is already forgotten.
        max_bytes: most bytes of the heads of all sessions.
    """

    def __init__(self, timeout_s: float, expire: Callable[[T], None], max_bytes: int = MAX_HEAD_BYTES) -> None:
        self._expire = expire
        self._max_bytes = max_bytes
        self._queue: DeadlineQueue[T] = DeadlineQueue(timeout_s, self._timed_out)
        self._sizes: OrderedDict[T, int] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._sizes)

    def add(self, session: T, head_bytes: int) -> None:
        """Add a new session; end the oldest ones if their heads take too much memory."""
        self._sizes[session] = head_bytes
        self._bytes += head_bytes
        self._queue.add(session)
        while self._bytes > self._max_bytes and len(self._sizes) > 1:
            oldest = next(iter(self._sizes))
            self.remove(oldest)
            self._expire(oldest)

    def remove(self, session: T) -> None:
        """Forget a session that has sent a packet or ended; does nothing if it is unknown."""
        size = self._sizes.pop(session, None)
        if size is not None:
            self._bytes -= size
            self._queue.remove(session)

    def stop(self) -> None:
        """Forget all sessions."""
        self._queue.stop()
        self._sizes.clear()
        self._bytes = 0

    def _timed_out(self, session: T) -> None:
        self.remove(session)
        self._expire(session)
