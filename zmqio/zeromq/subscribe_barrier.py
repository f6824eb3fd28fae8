"""The subscribe barrier: who has to acknowledge, and when a waiter may go on. It decides and does no I/O.

A node subscribes to what it needs and then to a topic of its own, `0xff "sync-" id`. The broker handles
subscriptions in order, so when it answers (it publishes that topic followed by its 8-byte epoch), it has applied
everything before. 0xff sorts last, so this also holds when libzmq sends all subscriptions again, in byte order.

- `SubscribeBarrier`   the waiters of one turn of the event loop, over all links
- `SyncQueue` the barriers of one link: at most one question is on its way, the next covers all that came meanwhile
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
    """A sync topic, 22 bytes, that was never used before and that nobody else can guess."""
    return SYNC_PREFIX + secrets.token_bytes(SYNC_ID_LENGTH)


def parse_acknowledgement(frame: bytes) -> tuple[bytes, bytes] | None:
    """Split an acknowledgement into sync topic and broker epoch; None when it is none."""
    if len(frame) != SYNC_TOPIC_LENGTH + EPOCH_LENGTH or not frame.startswith(SYNC_PREFIX):
        return None
    return frame[:SYNC_TOPIC_LENGTH], frame[SYNC_TOPIC_LENGTH:]


class SubscribeBarrier:
    """Lets its waiters go on when every link has acknowledged or is lost, or one has and time is up.

    Args:
        links: indexes of the links that were connected when it began; empty means done at once.
        heard_of: told each link that acknowledges, awaited or not.
    """

    def __init__(self, links: Iterable[int], heard_of: Callable[[int], object] = lambda link: None) -> None:
        self._due = set(links)
        self._heard_of = heard_of
        self._acknowledged = False
        self._time_is_up = False
        self._waiters: list[asyncio.Future[None]] = []

    @property
    def is_done(self) -> bool:
        """Whether nobody has to wait any more."""
        return not self._due or (self._time_is_up and self._acknowledged)

    def wait_with(self, waiter: asyncio.Future[None]) -> None:
        """Resolve `waiter` when this is done."""
        self._waiters.append(waiter)
        self._release()

    @property
    def due(self) -> frozenset[int]:
        """The links that have not acknowledged."""
        return frozenset(self._due)

    def acknowledged(self, link: int) -> None:
        """A broker has applied everything."""
        self._heard_of(link)
        if link in self._due:
            self._acknowledged = True
            self._gone(link)

    def lost(self, link: int) -> None:
        """A broker is gone; what it had to apply is applied when it comes back."""
        self._gone(link)

    def time_is_up(self) -> None:
        """From now on one acknowledgement is enough."""
        self._time_is_up = True
        self._release()

    def _gone(self, link: int) -> None:
        self._due.discard(link)
        self._release()

    def _release(self) -> None:
        if not self.is_done:
            return
        for waiter in self._waiters:
            if not waiter.done() and not waiter.get_loop().is_closed():
                waiter.set_result(None)
        self._waiters.clear()


class SyncQueue:
    """The barriers of one link. One sync topic is on its way at most, so a busy node does not flood the broker."""

    def __init__(self, link: int) -> None:
        self._link = link
        self._asked: list[SubscribeBarrier] = []
        self._next: list[SubscribeBarrier] = []
        self.topic: bytes | None = None
        """The sync topic that is on its way, if any."""

    @property
    def wants_to_ask(self) -> bool:
        """Whether there is something to ask and nothing on its way."""
        return self.topic is None and bool(self._next)

    @property
    def waits(self) -> bool:
        """Whether a barrier waits for the next question."""
        return bool(self._next)

    def add(self, barrier: SubscribeBarrier) -> None:
        """Let `barrier` hear of the next acknowledgement that covers everything subscribed up to now."""
        self._next.append(barrier)

    def asked(self, topic: bytes) -> None:
        """The link is subscribing to `topic`; it covers all that was added and not yet acknowledged."""
        self.topic = topic
        self._asked += self._next
        self._next = []

    def acknowledged(self, topic: bytes) -> bool:
        """Take an acknowledgement; False when it is not the one that is awaited."""
        if topic != self.topic:
            return False
        barriers, self._asked, self.topic = self._asked, [], None
        for barrier in barriers:
            barrier.acknowledged(self._link)
        return True

    def lost(self) -> None:
        """The link is lost: nobody waits for it any more."""
        barriers, self._asked, self._next, self.topic = self._asked + self._next, [], [], None
        for barrier in barriers:
            barrier.lost(self._link)
