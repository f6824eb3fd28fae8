"""Sessions with more in their send buffers than their limits allow: how long, and how much of them together.

Each session may exceed its limits for a grace period, so the buffers of many could fill the memory within it. They
may therefore have so many bytes together; beyond that, the session with most is dropped. Packets of broadcasts do
not count: several sessions share their memory.

Knows no sockets.
"""

from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from zmqio.engine.deadline_queue import DeadlineQueue

__all__ = ["SlowSession", "SlowSessions"]

COUNT_AGAIN_BYTES = 1 << 20
"""A session's bytes are counted again when its buffer has grown or shrunk by this many."""


class SlowSession(Protocol):
    """The part of a session that is used here."""

    @property
    def buffered_bytes(self) -> int:
        """Bytes in the send buffer."""

    def own_bytes(self) -> int:
        """Bytes in the send buffer that no other session shares; takes time in proportion to its packets."""


T = TypeVar("T", bound=SlowSession)


class _Count:
    __slots__ = ("buffered", "own")

    def __init__(self) -> None:
        self.buffered = self.own = 0


class SlowSessions(Generic[T]):
    """The sessions in their grace period.

    Args:
        grace_s: seconds that a session has.
        max_bytes: most bytes of all of them together.
        expire: drops a session whose grace period is over.
        displace: drops a session because all together have too many bytes.
    """

    def __init__(
        self, grace_s: float, max_bytes: int, expire: Callable[[T], None], displace: Callable[[T], None]
    ) -> None:
        self._max_bytes = max_bytes
        self._displace = displace
        self._expire = expire
        self._deadlines: DeadlineQueue[T] = DeadlineQueue(grace_s, self._time_over)
        self._counts: dict[T, _Count] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._counts)

    def note(self, session: T) -> None:
        """Note that a session exceeds its limits; starts its grace period, if it is new."""
        count = self._counts.get(session)
        if count is None:
            count = self._counts[session] = _Count()
            self._deadlines.add(session)
        if abs(session.buffered_bytes - count.buffered) >= COUNT_AGAIN_BYTES:
            self._count(session, count)
            if self._bytes > self._max_bytes:
                self._displace_largest()

    def remove(self, session: T) -> None:
        """Forget a session: it is within its limits again, or has ended. Does nothing if it is unknown."""
        count = self._counts.pop(session, None)
        if count is not None:
            self._bytes -= count.own
            self._deadlines.remove(session)

    def stop(self) -> None:
        """Forget all sessions."""
        self._deadlines.stop()
        self._counts.clear()
        self._bytes = 0

    def _count(self, session: T, count: _Count) -> None:
        own = session.own_bytes()
        self._bytes += own - count.own
        count.buffered, count.own = session.buffered_bytes, own

    def _displace_largest(self) -> None:
        while self._bytes > self._max_bytes and self._counts:
            largest, count = max(self._counts.items(), key=lambda item: item[1].own)
            counted = count.own
            self._count(largest, count)  # its client may have taken some in the meantime
            if count.own >= counted:
                self.remove(largest)
                self._displace(largest)

    def _time_over(self, session: T) -> None:
        self.remove(session)
        self._expire(session)
