"""Closes the connections of nodes that subscribe to too many topics, or too fast (TCP, Linux).

libzmq stores a topic twice (the XPUB of the subscribe endpoint, the XSUB of the publish endpoint), as trees with a
node for each byte: 3.1 KB for a random topic of 30 bytes, 20 KB for one of 240. It reads up to 7 MB of
subscriptions in 20 ms, so a look every half second is too late. The guard is therefore woken by each connection on
which subscriptions arrive, and sleeps while none do.
"""

import contextlib
import math
import os
import select
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping

import structlog

from zmqio_broker.address_block import drop_from
from zmqio_broker.connection_limits import RateLimit
from zmqio_broker.connection_samples import ConnectionSample, peer_address, take_sample
from zmqio_broker.descriptors import close_connection

__all__ = ["BLOCKED_S", "LIMITS_PER_S", "SubscriptionGuard", "SubscriptionWatch"]

LIMITS_PER_S = 2
"""Bytes of subscriptions and cancellations of one node per second all the time, in multiples of what it may send
at once: with the default, 30,000 joins and leaves. Nodes of zmqio send at most three quarters of this, and a third
of the limit at once (`zmqio.zeromq.send_pace`). There may be more while the topics of all nodes together are few:
see `SubscriptionGuard.settle`."""
BLOCKED_S = 10.0
"""Time in which the address of a closed connection gets no new one, so that it cannot begin again at once."""
MAX_BLOCKED = 64
CHECK_INTERVAL_S = 0.01
FLOOD_CHECK_INTERVAL_S = 0.001
"""Seconds until the next check while a connection has used `FLOOD_SHARE` of its limit; otherwise
`CHECK_INTERVAL_S`, because many connections may subscribe all the time."""
FLOOD_SHARE = 1 / 64
ACTIVE_S = 1.0
ACTIVE_CHECK_S = 0.1
"""Until `ACTIVE_S` after an arrival, the guard checks at least every `ACTIVE_CHECK_S`. If it cannot, this process
had no CPU, and a node that sends at the permitted pace must not be taken for one that floods."""
_IS_SUPPORTED = sys.platform == "linux"

log = structlog.get_logger(__name__)


class SubscriptionGuard:
    """Applies the limit to the connections of the subscribe endpoint.

    Args:
        max_bytes: most bytes of subscriptions that one connection sends at once.
        block: called with all the addresses that may not connect, whenever one is added or removed.
        sample: reads the counters of a connection.
        close: closes a connection.
        address: returns the address of a peer.

    Attributes:
        closed: number of connections that were closed.
    """

    def __init__(
        self,
        max_bytes: int,
        block: Callable[[Collection[str]], None],
        sample: Callable[[int], ConnectionSample | None] = take_sample,
        close: Callable[[int], None] = close_connection,
        address: Callable[[int], str] = peer_address,
    ) -> None:
        self.closed = 0
        self._max_bytes = max_bytes
        self._block = block
        self._sample = sample
        self._close = close
        self._address = address
        self._limits: dict[int, RateLimit] = {}
        self._blocked_until: dict[str, float] = {}

    @property
    def blocks(self) -> bool:
        """Whether an address may not connect now."""
        return bool(self._blocked_until)

    def add(self, descriptor: int, now: float) -> None:
        """Begin to watch a new connection. Any thread may call this."""
        self._limits[descriptor] = RateLimit(self._max_bytes, LIMITS_PER_S * self._max_bytes, now)

    def settle(self, topic_bytes: int) -> None:
        """Take into account that nodes cancel subscriptions. Call it about every half second. Any thread may.

        Rooms that come and go do no harm: no node has more topics than all nodes together.

        Args:
            topic_bytes: size of the topics of all nodes.
        """
        for limit in list(self._limits.values()):
            limit.settle(topic_bytes)

    def take_samples(self, descriptors: Iterable[int]) -> dict[int, ConnectionSample]:
        """Read the counters of those connections that have any."""
        samples = {descriptor: self._sample(descriptor) for descriptor in descriptors}
        return {descriptor: sample for descriptor, sample in samples.items() if sample is not None}

    def check(self, samples: Mapping[int, ConnectionSample], now: float, late_s: float = 0.0) -> bool:
        """Close those of the connections that exceed the limit, and end blocks.

        Args:
            samples: by descriptor, of the connections on which something has arrived.
            now: seconds on the clock of `add`, after the samples were taken.
            late_s: seconds by which the call is late.

        Returns:
            Whether one of the connections that stay may exceed the limit soon.
        """
        is_near = False
        for descriptor, sample in samples.items():
            limit = self._limits.get(descriptor)
            if limit is None:
                continue
            # There is no event when libzmq reads, so what has arrived counts.
            if limit.is_exceeded(sample.received + sample.unread, now, late_s):
                self._end(descriptor, now)
            elif limit.used_bytes > FLOOD_SHARE * self._max_bytes:
                is_near = True
        if any(now >= until for until in self._blocked_until.values()):
            self._set_blocked({host: until for host, until in self._blocked_until.items() if now < until})
        return is_near

    def _end(self, descriptor: int, now: float) -> None:
        peer = self._address(descriptor)
        if len(self._blocked_until) < MAX_BLOCKED:
            self._set_blocked(self._blocked_until | {peer.rpartition(":")[0]: now + BLOCKED_S})
        # libzmq may close the descriptor at once, and another thread add a new connection that has its number.
        del self._limits[descriptor]
        self.closed += 1
        self._close(descriptor)
        log.warning(
            "connection_closed",
            endpoint="subscribe",
            peer=peer,
            reason="the node subscribes to too many topics, or subscribes and cancels too fast",
            limit=self._max_bytes,
            option="--subscription-bytes",
            blocked_s=BLOCKED_S,
        )

    def _set_blocked(self, blocked_until: dict[str, float]) -> None:
        self._blocked_until = blocked_until
        self._block(blocked_until)


class SubscriptionWatch:
    """The thread of a guard, which is woken when subscriptions arrive.

    Does nothing on systems other than Linux, and for connections other than TCP, which have no counters.

    Args:
        max_bytes: most bytes of subscriptions that one connection sends at once.

    Attributes:
        guard: checks the connections.
    """

    def __init__(self, max_bytes: int) -> None:
        self.guard = SubscriptionGuard(max_bytes, self._block)
        self._listeners: list[int] = []
        self._stopping = threading.Event()
        self._epoll = select.epoll() if _IS_SUPPORTED else None
        self._wake_read, self._wake_write = os.pipe()

    def listening(self, descriptor: int) -> None:
        """Note a listening socket, which belongs to libzmq."""
        self._listeners.append(descriptor)

    def accepted(self, descriptor: int) -> None:
        """Begin to watch a new connection. Any thread may call this."""
        if self._epoll is None:
            return
        self.guard.add(descriptor, time.monotonic())
        with contextlib.suppress(OSError):  # it is closed already
            # EPOLLET: one event for each arrival, not as long as libzmq has not read everything. EPOLLOUT: there
            # is one even if libzmq reads first. libzmq closes the descriptor, which ends its registration.
            self._epoll.register(descriptor, select.EPOLLIN | select.EPOLLOUT | select.EPOLLET)

    def run(self) -> None:
        """Check until `stop` is called."""
        if self._epoll is None:
            return
        self._epoll.register(self._wake_read, select.EPOLLIN)
        now, arrived_at, pause_s = time.monotonic(), -math.inf, 0.0
        with self._epoll:
            while not self._stopping.is_set():
                self._stopping.wait(pause_s)
                due_at = now + pause_s
                is_active = due_at < arrived_at + ACTIVE_S
                arrivals = self._epoll.poll(self._longest_wait_s(is_active))
                samples = self.guard.take_samples(descriptor for descriptor, _ in arrivals)
                now = time.monotonic()
                late_s = max(0.0, now - due_at - ACTIVE_CHECK_S) if is_active else 0.0
                is_near = self.guard.check(samples, now, late_s)
                arrived_at = now if arrivals else arrived_at
                # After a pause, this may be the handshake of a connection that floods right after it.
                is_first = now - due_at > CHECK_INTERVAL_S
                pause_s = FLOOD_CHECK_INTERVAL_S if is_near or is_first else CHECK_INTERVAL_S

    def _longest_wait_s(self, is_active: bool) -> float | None:
        if is_active:
            return ACTIVE_CHECK_S
        return BLOCKED_S / 10 if self.guard.blocks else None

    def stop(self) -> None:
        """End `run`."""
        self._stopping.set()
        os.write(self._wake_write, b"\0")

    def _block(self, hosts: Collection[str]) -> None:
        for listener in self._listeners:
            drop_from(listener, hosts)
