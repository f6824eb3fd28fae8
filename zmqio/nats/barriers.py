"""Numbered barriers: they show when all servers of a cluster know the subscriptions of a node. Pure: no I/O.

A server answers a PING after it has applied all subscriptions before it, but only *this* server knows them then:
of messages that were published on another server at once, 11 of 100 were lost (docs/decisions/09). So a node
has a *probe* at every other server, a connection with one subscription, and publishes the number of the barrier to
it through its own server. Interest and messages take the same way from server to server, in order: a number that
comes back through a server proves that it knows all subscriptions made before.

At most one barrier is under way; the next one covers all subscriptions made in the meantime.
"""

import asyncio
from collections.abc import Collection, Iterable

__all__ = ["OWN_SERVER", "BarrierQueue"]

OWN_SERVER = ""
"""Stands for the server that the node is connected to; it confirms with a PONG. Others have names."""


class BarrierQueue:
    """The barriers of one link.

    Attributes:
        number: of the last barrier that was started.
        pending: the servers that have not confirmed the barrier that is under way.
    """

    def __init__(self) -> None:
        self.number = 0
        self.pending: set[str] = set()
        self._skips_others = False
        self._waiting: list[asyncio.Future[None]] = []
        self._started: list[asyncio.Future[None]] = []

    @property
    def is_due(self) -> bool:
        """Whether futures wait and no barrier is under way."""
        return bool(self._waiting) and not self._started

    @property
    def is_under_way(self) -> bool:
        """Whether a barrier is under way."""
        return bool(self._started)

    def add(self, waiter: asyncio.Future[None]) -> None:
        """Resolve `waiter` when the next barrier is done."""
        self._waiting.append(waiter)

    def start(self, servers: Iterable[str]) -> int:
        """Start the next barrier, which `OWN_SERVER` and `servers` must confirm; return its number."""
        self.number += 1
        self.pending = {OWN_SERVER, *servers}
        self._skips_others = False
        self._started, self._waiting = self._waiting, []
        return self.number

    def confirm(self, server: str, number: int) -> None:
        """Note that a server knows all subscriptions made before barrier `number`."""
        if number >= self.number:
            self.forget((server,))

    def forget(self, servers: Collection[str]) -> None:
        """Wait no longer for servers."""
        self.pending.difference_update(servers)
        self._release_if_done()

    def skip_others(self) -> frozenset[str]:
        """Let the barrier wait only for the node's own server; return the other servers that are pending."""
        self._skips_others = True
        late = frozenset(self.pending - {OWN_SERVER})
        self._release_if_done()
        return late

    def lost(self) -> None:
        """Resolve all futures: the connection is lost, and all subscriptions will be made again."""
        self.pending = set()
        self._started += self._waiting
        self._waiting = []
        self._release_if_done()

    def _release_if_done(self) -> None:
        if OWN_SERVER in self.pending or (self.pending and not self._skips_others):
            return
        started, self._started = self._started, []
        for waiter in started:
            if not waiter.done() and not waiter.get_loop().is_closed():
                waiter.set_result(None)
