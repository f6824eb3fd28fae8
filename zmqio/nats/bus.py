"""The `Bus` of a node over NATS: one link, to one server of a cluster at a time.

Knows the link and limits. Knows nothing of nodes, rooms or Socket.IO: topics and bodies are bytes to it.
"""

import asyncio
import os
import time
from collections import Counter
from collections.abc import Awaitable, Collection, Iterable, Sequence

from zmqio.adapter.bus import BusEvents
from zmqio.config import BusOptions
from zmqio.counts import Counts
from zmqio.exceptions import MessageTooLargeError
from zmqio.links.backpressure import Backpressure
from zmqio.log_limit import LogLimit
from zmqio.logger import get_logger
from zmqio.nats.addresses import NatsServer
from zmqio.nats.connection import NatsConnection
from zmqio.nats.inbox_check import InboxCheck
from zmqio.nats.link import LINK, NatsLink, NatsLinkOptions, NatsLinkState
from zmqio.nats.login import NatsLogin
from zmqio.protocol.nats import NatsInfo, publish_command

__all__ = ["NatsBus"]

log = get_logger(__name__)

LINGER_S = 1.0
MIN_QUEUE_BYTES = 1 << 20
"""Bytes that may wait for the server, even if the replay buffer is smaller."""


class NatsBus:
    """Publishes and receives topics through a NATS server or cluster (see `zmqio.adapter.bus.Bus`).

    Belongs to the event loop that runs `start`; its methods must not be called from another thread.

    Args:
        servers: addresses of servers of one cluster; the node is connected to one of them.
        options: limits and times.
        login: at every server.
        name: of the connections, for the servers' lists.

    Attributes:
        counters: since the start: `bus_message_malformed` (messages dropped as malformed), `bus_queue_overflows`
            (times that the queue to the server became full), `link_sends_failed` (messages that could not be sent
            because of an unexpected error), `bus_barrier_timeouts` (joins for which a server of the cluster did
            not confirm within `barrier_timeout_s`), `broker_losses` (times that a ready link was lost),
            `bus_topology_changes` (changes of the cluster) and `bus_slow_consumers` (times that the server closed
            the connection because this node read too slowly).
    """

    def __init__(
        self, servers: Sequence[NatsServer], options: BusOptions, login: NatsLogin, name: str = "zmqio"
    ) -> None:
        self._servers = tuple(servers)
        self._options = options
        self._login = login
        self._name = name
        self._inboxes = InboxCheck(options.prefix)
        self.counters: Counter[str] = Counts()
        self._pid: int | None = None
        self._link: NatsLink | None = None
        self._waiters: list[asyncio.Future[None]] = []
        self._events: BusEvents | None = None
        self._malformed_log_limit = LogLimit()
        self._senders = Backpressure(self.counters, self._link_writable)

    @property
    def brokers(self) -> str:
        """The given addresses, without passwords."""
        return ", ".join(map(str, self._servers))

    @property
    def connected_links(self) -> Collection[int]:
        """The only link, 0, if a server is connected and the cluster knows every subscription."""
        return (LINK,) if self._link is not None and self._link.state is NatsLinkState.READY else ()

    @property
    def server_info(self) -> NatsInfo | None:
        """The last INFO of the connected server; None while the bus is not ready."""
        if self._link is None or self._link.connection is None or not self.connected_links:
            return None
        return self._link.connection.info

    @property
    def problems(self) -> Sequence[str]:
        """Why no server is connected, and what else is wrong with the cluster."""
        return [] if self._link is None else self._link.problems

    async def start(self, events: BusEvents) -> None:
        """Begin to connect; returns without waiting for a server."""
        self._events = events
        self._pid = os.getpid()
        chosen = self._options
        options = NatsLinkOptions(
            chosen.prefix,
            self._name,
            publish_queue_messages=chosen.publish_queue_messages,
            publish_queue_bytes=max(chosen.replay_ring_bytes, MIN_QUEUE_BYTES),
            max_message_bytes=chosen.max_message_bytes,
            silent_after_s=chosen.dead_after_s,
            barrier_timeout_s=chosen.barrier_timeout_s,
            login=self._login,
        )
        self._link = NatsLink(self._servers, options, self, self._inboxes)

    def publish(self, topic: bytes, body: bytes, *, link: int | None = None) -> int:
        """Queue one message, `topic + body` on the topic's subject.

        Returns:
            1, or 0 if no server is connected or the queue is full. A link whose queue was full accepts nothing
            until it has accepted a message sent with `link=0` from within `link_writable`.

        Raises:
            MessageTooLargeError: topic and body exceed `max_message_bytes`.
        """
        size = len(topic) + len(body)
        if size > self._options.max_message_bytes:
            raise MessageTooLargeError(size, self._options.max_message_bytes)
        command = publish_command(self._inboxes.destination_of(topic), topic + body)
        return self._senders.send(command) if link is None else self._senders.send_on(link, command)

    def subscribe(self, topics: Iterable[bytes]) -> Awaitable[None]:
        """Subscribe; the awaitable completes when every server of the cluster knows the subscriptions.

        The subscriptions are sent at once. A server of the cluster that does not confirm within
        `barrier_timeout_s` is not awaited again until it has. If no server is connected, the awaitable completes
        at once. It never fails. Subscriptions are counted: one made twice must be cancelled twice.
        """
        waiter = asyncio.get_running_loop().create_future()
        if self._link is not None:
            self._link.subscribe(topics)
        if not self._waiters:
            asyncio.get_running_loop().call_soon(self._sync)
        self._waiters.append(waiter)
        return waiter

    def unsubscribe(self, topics: Iterable[bytes]) -> None:
        """Cancel subscriptions."""
        if self._link is not None:
            self._link.unsubscribe(topics)

    async def close(self) -> None:
        """Close; queued messages are sent first, for at most one second."""
        connection = self._close_link()
        if connection is not None:
            connection.close()
            await connection.wait_closed(LINGER_S)

    def close_sync(self) -> None:
        """Do the same without an event loop, at the end of the interpreter. Does nothing in a forked child."""
        if self._pid != os.getpid():
            return
        connection = self._close_link()
        if connection is not None:
            connection.send_last()

    # `NatsLinkEvents`.

    def link_message(self, topic: bytes, body: bytes) -> None:
        """Pass a received message to the receiver, which must not raise."""
        if self._events is not None:
            self._events.message_received(LINK, topic, body)

    def link_malformed(self, reason: str) -> None:
        """Count and log a malformed message."""
        self.counters["bus_message_malformed"] += 1
        if times := self._malformed_log_limit.record(time.monotonic()):
            log.warning("bus_message_malformed", link=LINK, reason=reason, times=times)

    def link_lost(self) -> None:
        """Stop sending to a lost server."""
        self.counters["broker_losses"] += 1
        self._senders.remove(LINK)
        if self._events is not None:
            self._events.link_lost(LINK)

    def link_ready(self) -> None:
        """Start sending to a server."""
        if self._link is not None and self._link.connection is not None:
            self._senders.add(LINK, self._link.connection)
            if self._events is not None:
                self._events.link_connected(LINK)

    def link_doubted(self) -> None:
        """Report that messages may have been lost between servers."""
        if self._events is not None:
            self._events.link_doubted(LINK)

    def link_departure(self, inbox: bytes) -> None:
        """Report that nobody subscribes to an inbox."""
        if self._events is not None:
            self._events.inbox_departed(LINK, inbox)

    def link_timed_out(self) -> None:
        """Count a join that did not wait for every server."""
        self.counters["bus_barrier_timeouts"] += 1

    def link_cluster_changed(self) -> None:
        """Count a change of the cluster."""
        self.counters["bus_topology_changes"] += 1

    def link_slow(self) -> None:
        """Count that the server closes the connection because this node reads too slowly."""
        self.counters["bus_slow_consumers"] += 1

    # Private.

    def _link_writable(self, link: int) -> None:
        if self._events is not None:
            self._events.link_writable(link)

    def _sync(self) -> None:
        """Start one barrier for all subscriptions of this iteration of the event loop."""
        waiters, self._waiters = self._waiters, []
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        started_ns = time.perf_counter_ns()

        def release(_: "asyncio.Future[None]") -> None:
            if counts:
                self.counters["barriers_passed"] += 1
                self.counters["barrier_microseconds"] += (time.perf_counter_ns() - started_ns) // 1_000
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)

        counts = self._link is not None and self._link.is_connected
        done.add_done_callback(release)
        if self._link is None:
            done.set_result(None)
        else:
            self._link.sync(done)

    def _close_link(self) -> NatsConnection | None:
        self._events = None
        self._senders.close()
        link, self._link = self._link, None
        return None if link is None else link.close()
