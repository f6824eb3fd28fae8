"""A bus in memory that joins several servers in one event loop, for tests. It loses nothing and has no broker."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Collection, Iterable, Mapping, Sequence
from typing import Any

from zmqio.adapter.bus import BusEvents
from zmqio.cluster.factory import ClusterAdapterFactory
from zmqio.config import BusOptions
from zmqio.exceptions import MessageTooLargeError

__all__ = ["MemoryCluster"]

LINK = 0


class MemoryCluster:
    """Joins servers of one event loop as a broker joins nodes.

    Example: `cluster = MemoryCluster()`, then `Server(adapter=cluster.adapter())` for each node

    Args:
        options: fields of `BusOptions`.
    """

    def __init__(self, **options: Any) -> None:
        self._options = BusOptions(**options)
        self._buses: list[_MemoryBus] = []

    def adapter(self) -> ClusterAdapterFactory:
        """Return the adapter of one more node."""
        return ClusterAdapterFactory(lambda identity: self._bus(), self._options)

    def _bus(self) -> "_MemoryBus":
        bus = _MemoryBus(self._buses, self._options.max_message_bytes)
        self._buses.append(bus)
        return bus


class _MemoryBus:
    """The `Bus` of one node. Messages arrive in the next turn of the event loop."""

    brokers = "in memory"

    def __init__(self, all_buses: "list[_MemoryBus]", max_message_bytes: int) -> None:
        self._all = all_buses
        self._max_message_bytes = max_message_bytes
        self._subscriptions: Counter[bytes] = Counter()
        self._events: BusEvents | None = None

    @property
    def connected_links(self) -> Collection[int]:
        return () if self._events is None else (LINK,)

    @property
    def problems(self) -> Sequence[str]:
        return ["the bus in memory was closed"] if self._events is None else []

    @property
    def counters(self) -> Mapping[str, int]:
        return {}

    async def start(self, events: BusEvents) -> None:
        self._events = events
        asyncio.get_running_loop().call_soon(events.link_connected, LINK)

    def publish(self, topic: bytes, body: bytes, *, link: int | None = None) -> int:
        size = len(topic) + len(body)
        if size > self._max_message_bytes:
            raise MessageTooLargeError(size, self._max_message_bytes)
        if self._events is None:
            return 0
        for bus in self._all:
            if any(topic.startswith(prefix) for prefix in bus._subscriptions):
                asyncio.get_running_loop().call_soon(bus._receive, topic, body)
        return 1

    def subscribe(self, topics: Iterable[bytes]) -> Awaitable[None]:
        self._subscriptions.update(topics)
        applied = asyncio.get_running_loop().create_future()
        applied.set_result(None)
        return applied

    def unsubscribe(self, topics: Iterable[bytes]) -> None:
        self._subscriptions.subtract(topics)
        self._subscriptions = +self._subscriptions

    async def close(self) -> None:
        self.close_sync()

    def close_sync(self) -> None:
        self._events = None
        if self in self._all:
            self._all.remove(self)

    def _receive(self, topic: bytes, body: bytes) -> None:
        if self._events is not None:
            self._events.message_received(LINK, topic, body)
