"""The subscribe barrier: which brokers must acknowledge before a waiter may continue. Decides, and does no I/O.

A node subscribes to the topics it needs, then to a sync topic of its own, `0xff "sync-" id`. The broker handles
subscriptions in order and acknowledges a sync topic by publishing it with the broker's 8-byte epoch behind it. By
then it has applied all earlier subscriptions. This also holds when all subscriptions are sent again after a
reconnection: sync topics come last.

- `SubscribeBarrier`   the waiters of one turn of the event loop, over all links
- `SyncQueue`          the barriers of one link: at most one request is outstanding, and the next covers all
                       barriers added in the meantime
"""

import asyncio
import secrets
from collections.abc import Callable, Iterable

__all__ = ["EPOCH_LENGTH", "SubscribeBarrier", "SyncQueue", "make_sync_topic", "parse_acknowledgement"]

SYNC_PREFIX = b"\xffsync-"
SYNC_ID_LENGTH = 16
EPOCH_LENGTH = 8
SYNC_TOPIC_LENGTH = len(SYNC_PREFIX) + SYNC_ID_LENGTH


def make_sync_topic() -> bytes:
    """Return a new sync topic: 22 bytes, never used before, and not guessable by others."""
    return SYNC_PREFIX + secrets.token_bytes(SYNC_ID_LENGTH)


def parse_acknowledgement(frame: bytes) -> tuple[bytes, bytes] | None:
    """Split an acknowledgement into sync topic and broker epoch; return None if it is malformed."""
    if len(frame) != SYNC_TOPIC_LENGTH + EPOCH_LENGTH or not frame.startswith(SYNC_PREFIX):
        return None
    return frame[:SYNC_TOPIC_LENGTH], frame[SYNC_TOPIC_LENGTH:]


class SubscribeBarrier:
    """Releases its waiters when every link has acknowledged or is lost.

    After `time_out`, one acknowledgement is enough.

    Args:
        links: indexes of the links that were connected when it was made; if empty, it is done at once.
        on_acknowledged: called with each link that acknowledges, whether or not it is awaited.
    """

    def __init__(self, links: Iterable[int], on_acknowledged: Callable[[int], object] = lambda link: None) -> None:
        self._pending = set(links)
        self._on_acknowledged = on_acknowledged
        self._has_acknowledgement = False
        self._is_timed_out = False
        self._waiters: list[asyncio.Future[None]] = []

    @property
    def is_done(self) -> bool:
        """Whether waiters may continue."""
        return not self._pending or (self._is_timed_out and self._has_acknowledgement)

    @property
    def pending(self) -> frozenset[int]:
        """The links that have not acknowledged."""
        return frozenset(self._pending)

    def add_waiter(self, waiter: asyncio.Future[None]) -> None:
        """Resolve `waiter` when this is done."""
        self._waiters.append(waiter)
        self._release()

    def acknowledged(self, link: int) -> None:
        """Record that a broker has applied everything."""
        self._on_acknowledged(link)
        if link in self._pending:
            self._has_acknowledgement = True
            self._remove(link)

    def lost(self, link: int) -> None:
        """Stop waiting for a lost broker; it applies all subscriptions when it reconnects."""
        self._remove(link)

    def time_out(self) -> None:
        """Require only one acknowledgement from now on."""
        self._is_timed_out = True
        self._release()

    def _remove(self, link: int) -> None:
        self._pending.discard(link)
        self._release()

    def _release(self) -> None:
        if not self.is_done:
            return
        for waiter in self._waiters:
            if not waiter.done() and not waiter.get_loop().is_closed():
                waiter.set_result(None)
        self._waiters.clear()


class SyncQueue:
    """The barriers of one link. At most one sync topic is outstanding, so a busy node does not flood the broker.

    Attributes:
        topic: the outstanding sync topic, or None.
    """

    def __init__(self, link: int) -> None:
        self._link = link
        self._requested: list[SubscribeBarrier] = []
        self._waiting: list[SubscribeBarrier] = []
        self.topic: bytes | None = None

    @property
    def is_due(self) -> bool:
        """Whether a barrier is waiting and no request is outstanding."""
        return self.topic is None and bool(self._waiting)

    @property
    def has_waiting(self) -> bool:
        """Whether a barrier is waiting for the next request."""
        return bool(self._waiting)

    def add(self, barrier: SubscribeBarrier) -> None:
        """Notify `barrier` of the next acknowledgement that covers all subscriptions made so far."""
        self._waiting.append(barrier)

    def requested(self, topic: bytes) -> None:
        """Record that the link subscribes to `topic`, which covers all barriers not yet acknowledged."""
        self.topic = topic
        self._requested += self._waiting
        self._waiting = []

    def acknowledged(self, topic: bytes) -> bool:
        """Handle an acknowledgement; return False if `topic` is not the outstanding one."""
        if topic != self.topic:
            return False
        barriers, self._requested, self.topic = self._requested, [], None
        for barrier in barriers:
            barrier.acknowledged(self._link)
        return True

    def lost(self) -> None:
        """Release all barriers from waiting for this link."""
        barriers, self._requested, self._waiting, self.topic = self._requested + self._waiting, [], [], None
        for barrier in barriers:
            barrier.lost(self._link)
