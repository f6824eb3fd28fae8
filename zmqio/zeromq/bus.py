"""The `Bus` of a node over ZeroMQ: one link to each broker.

Knows sockets, links and limits. Knows nothing of nodes, rooms or Socket.IO: topics and bodies are bytes to it.
With several brokers, every message goes through and arrives from each; the adapter drops the duplicates.
"""

import asyncio
import os
import time
from collections import Counter
from collections.abc import Awaitable, Collection, Iterable, Sequence
from dataclasses import replace
from functools import partial

from zmqio.adapter.bus import BusEvents
from zmqio.config import BusOptions
from zmqio.counts import Counts
from zmqio.exceptions import ConfigError, MessageTooLargeError
from zmqio.links.backpressure import Backpressure
from zmqio.log_limit import LogLimit
from zmqio.logger import get_logger
from zmqio.protocol.mechanism import MakeMechanism, NullMechanism
from zmqio.protocol.topic import departure_prefix
from zmqio.zeromq.final_flush import FinalFlush
from zmqio.zeromq.link import BrokerLink, LinkOptions, LinkState
from zmqio.zeromq.subscribe_barrier import SubscribeBarrier

__all__ = ["ZmqBus"]

log = get_logger(__name__)

LINGER_S = 1.0
MIN_QUEUE_BYTES = 1 << 20
"""Bytes that may wait for each broker, even if the replay buffer is smaller."""


class ZmqBus:
    """Publishes and receives topics through one or more brokers (see `zmqio.adapter.bus.Bus`).

    Belongs to the event loop that runs `start`; its methods must not be called from another thread.

    Args:
        addresses: base address of each broker; the index of an address identifies its link.
        options: limits and times.
        mechanisms: makes the security mechanism, for each address; empty means NULL for all.

    Attributes:
        counters: since the start: `bus_message_malformed` (messages dropped as malformed), `bus_queue_overflows`
            (times that the queue to a broker became full), `link_sends_failed` (messages that a link failed to
            send because of an unexpected error), `bus_barrier_timeouts` (joins for which a broker did
            not acknowledge within `barrier_timeout_s`) and `broker_losses` (times that a ready link was lost).

    Raises:
        ConfigError: there is no address, or one is named twice (which would only duplicate its messages).
    """

    def __init__(
        self,
        addresses: Sequence[str],
        options: BusOptions,
        mechanisms: Sequence[MakeMechanism] = (),
    ) -> None:
        if not addresses or len(set(addresses)) != len(addresses):
            raise ConfigError(f"broker addresses {list(addresses)!r}: name at least one, and each only once")
        self._addresses = tuple(addresses)
        self._options = options
        self._mechanisms = mechanisms or (NullMechanism,) * len(addresses)
        self.counters: Counter[str] = Counts()
        self._pid: int | None = None
        self._links: list[BrokerLink] = []
        self._barrier: SubscribeBarrier | None = None
        self._slow_links: set[int] = set()
        self._events: BusEvents | None = None
        self._malformed_log_limit = LogLimit()
        self._senders = Backpressure(self.counters, self._link_writable)

    @property
    def brokers(self) -> str:
        """The brokers' addresses."""
        return ", ".join(self._addresses)

    @property
    def connected_links(self) -> Collection[int]:
        """Indexes of the brokers that are connected and have applied every subscription."""
        return frozenset(link.index for link in self._links if link.state is LinkState.READY)

    @property
    def problems(self) -> Sequence[str]:
        """For each broker that is not connected or has not applied every subscription, the reason."""
        return [
            f"broker {link.index}: {link.problem}" for link in self._links if link.state is not LinkState.READY
        ]

    async def start(self, events: BusEvents) -> None:
        """Begin to connect; returns without waiting for a broker."""
        self._events = events
        self._pid = os.getpid()
        chosen = self._options
        queue_bytes = max(chosen.replay_ring_bytes, MIN_QUEUE_BYTES)
        options = LinkOptions(chosen.publish_queue_messages, queue_bytes, chosen.dead_after_s)
        self._links = [
            BrokerLink(index, address, replace(options, mechanism=mechanism), self)
            for index, (address, mechanism) in enumerate(zip(self._addresses, self._mechanisms, strict=True))
        ]
        for link in self._links:
            link.subscribe((departure_prefix(chosen.prefix),))

    def publish(self, topic: bytes, body: bytes, *, link: int | None = None) -> int:
        """Queue one message, a single frame `topic + body`, on every writable link, or on one of them.

        Returns:
            The number of links that accepted it. A link whose queue was full accepts nothing until it has accepted
            a message sent on it alone from within `link_writable`.

        A link that fails unexpectedly counts as full, so that no error leaves it unclear who has the message.

        Raises:
            MessageTooLargeError: topic and body exceed `max_message_bytes`; checked first.
        """
        frame = topic + body
        if len(frame) > self._options.max_message_bytes:
            raise MessageTooLargeError(len(frame), self._options.max_message_bytes)
        return self._senders.send(frame) if link is None else self._senders.send_on(link, frame)

    def subscribe(self, topics: Iterable[bytes]) -> Awaitable[None]:
        """Subscribe on every link; the awaitable completes when the brokers have applied the subscriptions.

        The subscriptions are sent at once. The awaitable completes when every connected broker has acknowledged,
        or when one has and `barrier_timeout_s` has passed. A broker that took longer than that is not awaited
        again until it has acknowledged. If no broker is connected, it completes at once. It never fails.
        Subscriptions are counted: one made twice must be revoked twice.
        """
        wanted = tuple(topics)
        for link in self._links:
            link.subscribe(wanted)
        waiter = asyncio.get_running_loop().create_future()
        self._barrier_of_this_turn().add_waiter(waiter)
        return waiter

    def unsubscribe(self, topics: Iterable[bytes]) -> None:
        """Revoke subscriptions."""
        unwanted = tuple(topics)
        for link in self._links:
            link.unsubscribe(unwanted)

    async def close(self) -> None:
        """Close; queued messages are sent first, for at most one second."""
        await asyncio.to_thread(_flush, self._close_links())

    def close_sync(self) -> None:
        """Do the same without an event loop, at the end of the interpreter. Does nothing in a forked child."""
        if self._pid == os.getpid():
            _flush(self._close_links())

    def link_message(self, link: int, topic: bytes, body: bytes) -> None:
        """Pass a received message to the receiver, which must not raise."""
        if self._events is not None:
            self._events.message_received(link, topic, body)

    def link_malformed(self, link: int, reason: str) -> None:
        """Count and log a malformed message."""
        self.counters["bus_message_malformed"] += 1
        if times := self._malformed_log_limit.record(time.monotonic()):
            log.warning("bus_message_malformed", link=link, reason=reason, times=times)

    def link_lost(self, link: int) -> None:
        """Stop sending to a lost broker."""
        self.counters["broker_losses"] += 1
        self._senders.remove(link)
        self._slow_links.discard(link)
        if self._events is not None:
            self._events.link_lost(link)

    def link_ready(self, link: int) -> None:
        """Start sending to a broker."""
        self._senders.add(link, self._links[link].publisher)
        if self._events is not None:
            self._events.link_connected(link)

    def link_departure(self, link: int, inbox: bytes) -> None:
        """Report that a broker no longer has a subscription to a node's inbox."""
        if self._events is not None:
            self._events.inbox_departed(link, inbox)

    def link_overrun(self, link: int) -> None:
        """Report that a broker may drop messages to this node."""
        if self._events is not None:
            self._events.link_overrun(link)

    def _link_writable(self, link: int) -> None:
        if self._events is not None:
            self._events.link_writable(link)

    def _barrier_of_this_turn(self) -> SubscribeBarrier:
        if self._barrier is None:
            connected = {link.index for link in self._links if link.is_connected}
            # A slow link is awaited again once it has acknowledged.
            self._barrier = SubscribeBarrier((connected - self._slow_links) or connected, self._acknowledged)
            asyncio.get_running_loop().call_soon(self._sync)
        return self._barrier

    def _sync(self) -> None:
        barrier, self._barrier = self._barrier, None
        if barrier is None or barrier.is_done:
            return
        applied: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        applied.add_done_callback(partial(self._subscriptions_applied, time.perf_counter_ns()))
        barrier.add_waiter(applied)
        for link in self._links:
            link.sync(barrier)
        if not barrier.is_done and len(self._links) > 1:
            loop = asyncio.get_running_loop()
            loop.call_later(self._options.barrier_timeout_s, self._barrier_timed_out, barrier)

    def _subscriptions_applied(self, started_ns: int, _applied: "asyncio.Future[None]") -> None:
        self.counters["barriers_passed"] += 1
        self.counters["barrier_microseconds"] += (time.perf_counter_ns() - started_ns) // 1_000

    def _barrier_timed_out(self, barrier: SubscribeBarrier) -> None:
        if barrier.pending and self._events is not None:
            self.counters["bus_barrier_timeouts"] += 1
            for link in barrier.pending - self._slow_links:
                # Its broker has not applied all subscriptions: the link must count as lost before a waiter
                # continues.
                self._slow_links.add(link)
                self._events.link_lost(link)
        barrier.time_out()

    def _acknowledged(self, index: int) -> None:
        """Count a slow link as connected again if it has acknowledged everything."""
        if index not in self._slow_links or self._links[index].has_unrequested_syncs:
            return
        self._slow_links.discard(index)
        if self._events is not None and self._links[index].state is LinkState.READY:
            self._events.link_connected(index)

    def _close_links(self) -> list[FinalFlush]:
        self._events = None
        self._senders.close()
        links, self._links = self._links, []
        flushes = [link.close() for link in links]
        if self._barrier is not None:
            for link in links:
                self._barrier.lost(link.index)
        return [flush for flush in flushes if flush is not None]


def _flush(flushes: Sequence[FinalFlush]) -> None:
    ends_at_s = time.monotonic() + LINGER_S
    for flush in flushes:
        flush.send_now()  # one broker that hangs must not cost the others their last messages
    for flush in flushes:
        flush.send_rest(ends_at_s)
