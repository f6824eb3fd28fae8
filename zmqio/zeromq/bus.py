"""The `Bus` of a node over ZeroMQ: one link to each broker.

Knows sockets, links and limits. Knows nothing of nodes, rooms or Socket.IO: topics and bodies are bytes to it.
With several brokers every message goes to each and comes from each; the adapter drops the copies.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Collection, Iterable, Sequence

import structlog

from zmqio.adapter.base import BusEvents
from zmqio.config import BusOptions
from zmqio.exceptions import ConfigError, MessageTooLargeError
from zmqio.log_limit import LogLimit
from zmqio.zeromq.backpressure import Backpressure
from zmqio.zeromq.context import ProcessContext
from zmqio.zeromq.final_flush import FinalFlush
from zmqio.zeromq.link import BrokerLink, LinkOptions, LinkState
from zmqio.zeromq.subscribe_barrier import SubscribeBarrier

__all__ = ["ZmqBus"]

log = structlog.get_logger(__name__)

LINGER_S = 1.0


class ZmqBus:
    """Topics to and from other nodes through one or more brokers (see `zmqio.adapter.base.Bus`).

    Belongs to the event loop that runs `start`; no method may be called from another thread.

    Args:
        addresses: base address of each broker; the index of an address is the number of its link.
        options: limits and times.

    Attributes:
        counters: since the start: `bus_frames_malformed` (received, dropped), `bus_overflows` (times that the
            queue to a broker was full), `bus_barriers_cut_short` (joins that waited for a broker for
            `barrier_timeout_s` in vain) and `bus_losses` (times that a broker was lost).

    Raises:
        ConfigError: no address, or one twice (its messages would only be copied).
    """

    def __init__(self, addresses: Sequence[str], options: BusOptions) -> None:
        if not addresses or len(set(addresses)) != len(addresses):
            raise ConfigError(f"broker addresses {list(addresses)!r}: name at least one, and each once")
        self._addresses = tuple(addresses)
        self._options = options
        self.counters: Counter[str] = Counter()
        self._context = ProcessContext()
        self._links: list[BrokerLink] = []
        self._barrier: SubscribeBarrier | None = None
        self._slow: set[int] = set()
        self._events: BusEvents | None = None
        self._rubbish_log = LogLimit()
        self._flow = Backpressure(self.counters, self._try_again)

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
        """Of each broker that is not connected, or has not applied every subscription, why."""
        return [
            f"broker {link.index}: {link.trouble}" for link in self._links if link.state is not LinkState.READY
        ]

    async def start(self, events: BusEvents) -> None:
        """Begin to connect; returns without waiting for a broker."""
        self._events = events
        options = LinkOptions(self._options.publish_queue_messages, self._options.dead_after_s)
        context = self._context.get()
        self._links = [
            BrokerLink(index, address, context, options, self) for index, address in enumerate(self._addresses)
        ]

    def publish(self, topic: bytes, body: bytes, *, link: int | None = None) -> int:
        """Queue one message, a single frame `topic + body`, on every link that takes messages, or on one of them.

        Returns:
            On how many. A link whose queue is full gets nothing more until it takes a message of its own that is
            sent in answer to `resumed`.

        Raises:
            MessageTooLargeError: topic and body are over `max_message_bytes`; checked first.
        """
        frame = topic + body
        if len(frame) > self._options.max_message_bytes:
            raise MessageTooLargeError(len(frame), self._options.max_message_bytes)
        return self._flow.send(frame) if link is None else self._flow.send_by(link, frame)

    def subscribe(self, topics: Iterable[bytes]) -> Awaitable[None]:
        """Subscribe at once on every link; the awaitable is done when the brokers have applied it.

        That is: when every connected broker has acknowledged, or one has and `barrier_timeout_s` is over (a broker
        that took longer is not waited for again before it has answered); at once while none is connected. It never
        fails. Subscriptions are counted: one made twice is taken back twice.
        """
        wanted = tuple(topics)
        for link in self._links:
            link.subscribe(wanted)
        waiter = asyncio.get_running_loop().create_future()
        self._barrier_of_this_turn().wait_with(waiter)
        return waiter

    def unsubscribe(self, topics: Iterable[bytes]) -> None:
        """Take subscriptions back."""
        unwanted = tuple(topics)
        for link in self._links:
            link.unsubscribe(unwanted)

    async def close(self) -> None:
        """Stop; what is queued is still sent, for one second at most."""
        await asyncio.to_thread(self._finish, self._close_links())

    def close_sync(self) -> None:
        """The same without an event loop, for the end of the interpreter; does nothing in a forked child."""
        if self._context.is_here():
            self._finish(self._close_links())

    def link_message(self, link: int, topic: bytes, body: bytes) -> None:
        """Pass a message on to the receiver, which never raises."""
        if self._events is not None:
            self._events.message_received(link, topic, body)

    def link_rubbish(self, link: int, reason: str) -> None:
        """Something came that is no message."""
        self.counters["bus_frames_malformed"] += 1
        if times := self._rubbish_log.record(time.monotonic()):
            log.warning("bus_frame_malformed", link=link, reason=reason, times=times)

    def link_lost(self, link: int) -> None:
        """A broker is gone."""
        self.counters["bus_losses"] += 1
        self._flow.remove(link)
        self._slow.discard(link)
        if self._events is not None:
            self._events.link_lost(link)

    def link_ready(self, link: int) -> None:
        """A broker is there."""
        self._flow.add(link, self._links[link].publisher)
        if self._events is not None:
            self._events.link_connected(link)

    def link_behind(self, link: int) -> None:
        """A broker may drop messages to this node."""
        if self._events is not None:
            self._events.link_overrun(link)

    def _try_again(self, link: int) -> None:
        if self._events is not None:
            self._events.link_writable(link)

    def _barrier_of_this_turn(self) -> SubscribeBarrier:
        if self._barrier is None:
            connected = {link.index for link in self._links if link.is_connected}
            # Who made somebody wait is waited for again when it has answered.
            self._barrier = SubscribeBarrier((connected - self._slow) or connected, self._answers)
            asyncio.get_running_loop().call_soon(self._sync)
        return self._barrier

    def _sync(self) -> None:
        barrier, self._barrier = self._barrier, None
        if barrier is None or barrier.is_done:
            return
        for link in self._links:
            link.sync(barrier)
        if not barrier.is_done and len(self._links) > 1:
            asyncio.get_running_loop().call_later(self._options.barrier_timeout_s, self._time_is_up, barrier)

    def _time_is_up(self, barrier: SubscribeBarrier) -> None:
        if barrier.due and self._events is not None:
            self.counters["bus_barriers_cut_short"] += 1
            for link in barrier.due - self._slow:
                # Not all that this node wants comes by it, so it has to count as away before anybody goes on.
                self._slow.add(link)
                self._events.link_lost(link)
        barrier.time_is_up()

    def _answers(self, index: int) -> None:
        """A broker has acknowledged; one that counted as away is back when nothing more is to be acknowledged."""
        if index not in self._slow or self._links[index].is_asking:
            return
        self._slow.discard(index)
        if self._events is not None and self._links[index].state is LinkState.READY:
            self._events.link_connected(index)

    def _close_links(self) -> list[FinalFlush]:
        self._events = None
        self._flow.close()
        links, self._links = self._links, []
        leftovers = [link.close() for link in links]
        if self._barrier is not None:
            for link in links:
                self._barrier.lost(link.index)
        return [leftover for leftover in leftovers if leftover is not None]

    def _finish(self, leftovers: Sequence[FinalFlush]) -> None:
        ends_at_s = time.monotonic() + LINGER_S
        for leftover in leftovers:
            leftover.send_now()  # one broker that hangs must not cost the others their last messages
        for leftover in leftovers:
            leftover.send_rest(ends_at_s)
        self._context.term()
