"""A bus in memory for several nodes in one process: matches topics by prefix, and simulates faults.

Time is the event loop's: a message takes one turn of it, a subscription `barrier_turns`.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from zmqio.adapter.bus import BusEvents
from zmqio.exceptions import MessageTooLargeError

__all__ = ["Faults", "MemoryBus", "MemoryNetwork"]

TRY_AGAIN_TURNS = 5

Drop = Callable[[bytes, bytes], bool]


@dataclass
class Faults:
    """The simulated faults of a network. The seed makes a run repeatable.

    Attributes:
        double: the share of messages that arrive twice.
        stale: the share of messages of which a copy arrives again, some turns later.
        drop: True for (topic, body) that is lost.
        malformed: the (topic, body) pairs that are added to each message.
        slow_barrier_turns: turns of the loop that a subscription takes until it is applied.
    """

    seed: int = 1
    double: float = 0.0
    stale: float = 0.0
    drop: Drop = lambda topic, body: False
    malformed: Callable[[bytes, bytes], Iterable[tuple[bytes, bytes]]] = lambda topic, body: ()
    slow_barrier_turns: int = 3
    dice: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.dice = random.Random(self.seed)


class MemoryNetwork:
    """Brokers and the buses on them.

    Args:
        links: number of brokers.
        faults: the simulated faults.

    Attributes:
        delivered: (bus name -> number of messages that reached it).
        log: every published (topic, body), once each.
    """

    def __init__(self, links: int = 1, faults: Faults | None = None) -> None:
        self.links = links
        self.faults = faults or Faults()
        self.up = [True] * links
        self._stalled: set[int] = set()
        self.buses: list[MemoryBus] = []
        self.log: list[tuple[bytes, bytes]] = []
        self.delivered: Counter[str] = Counter()

    def bus(self, name: str = "", *, max_message_bytes: int = 8 << 20) -> "MemoryBus":
        """Create the bus of one node."""
        bus = MemoryBus(self, name, max_message_bytes)
        self.buses.append(bus)
        return bus

    def cut(self, link: int) -> None:
        """Stop a broker; messages published until `mend` do not pass it."""
        self.up[link] = False
        for bus in self.buses:
            bus.link_down(link)

    def stall(self, link: int) -> None:
        """Make a broker hang: it stays connected and forwards nothing."""
        self._stalled.add(link)

    def mend(self, link: int) -> None:
        """Bring a broker back."""
        self.up[link] = True
        for bus in self.buses:
            bus.link_up(link)

    def kill(self, name: str) -> None:
        """Let a bus send and receive nothing from now on, as if its process had been killed."""
        for bus in self.buses:
            if bus.name == name:
                bus.closed = True

    def inject(self, topic: bytes, body: bytes) -> None:
        """Publish a message of an outside service, or of any sender."""
        self.log.append((topic, body))
        for link in range(self.links):
            if self.up[link]:
                self._carry(link, topic, body)

    def publish(self, links: Collection[int], topic: bytes, body: bytes) -> None:
        """Publish a message of a node."""
        self.log.append((topic, body))
        for link in links:
            if not self.faults.drop(topic, body):
                self._carry(link, topic, body)
            for extra in self.faults.malformed(topic, body):
                self._carry(link, *extra)

    def _carry(self, link: int, topic: bytes, body: bytes) -> None:
        if link in self._stalled:
            return
        faults = self.faults
        copies = 1 + (faults.dice.random() < faults.double)
        for bus in self.buses:
            for _ in range(copies):
                bus.arrive(link, topic, body)
            if faults.dice.random() < faults.stale:
                bus.arrive_late(link, topic, body)


class MemoryBus:
    """The `Bus` of one node."""

    def __init__(self, network: MemoryNetwork, name: str, max_message_bytes: int) -> None:
        self.name = name
        self.closed = False
        self.paused = False
        self.subscriptions: Counter[bytes] = Counter()
        self._network = network
        self._max_message_bytes = max_message_bytes
        self._applied: set[bytes] = set()
        self._ready: set[int] = set()
        self._events: BusEvents | None = None
        self._parked: list[tuple[int, bytes, bytes]] = []
        self._full: set[int] = set()
        self._trying: int | None = None

    @property
    def problems(self) -> Sequence[str]:
        """The brokers that are not connected."""
        return [f"broker {link} is away" for link in range(self._network.links) if link not in self._ready]

    @property
    def connected_links(self) -> Collection[int]:
        """The brokers that are connected."""
        return frozenset(self._ready)

    @property
    def counters(self) -> Mapping[str, int]:
        """Empty: whatever the bus drops, it raises an error for."""
        return {}

    async def start(self, events: BusEvents) -> None:
        """Begin to connect."""
        self._events = events
        for link in range(self._network.links):
            self.link_up(link)

    @property
    def brokers(self) -> str:
        """The brokers, for messages."""
        return f"{self._network.links} in memory"

    def publish(self, topic: bytes, body: bytes, *, link: int | None = None) -> int:
        """Pass one message to the brokers; return on how many links."""
        if len(topic) + len(body) > self._max_message_bytes:
            raise MessageTooLargeError(len(topic) + len(body), self._max_message_bytes)
        ready = self._ready if link is None else self._ready & {link}
        if self.closed or not ready or (link in self._full and link != self._trying):
            return 0
        if link is None and ready & self._full:
            for full in ready & self._full:
                self._after(TRY_AGAIN_TURNS, partial(self._try_again, full))
            ready = ready - self._full
        if not self.paused and ready:
            self._network.publish(sorted(ready), topic, body)
        if link is not None:
            self._full -= ready
        return len(ready)

    def subscribe(self, topics: Iterable[bytes]) -> Awaitable[None]:
        """Subscribe; applied, and done, some turns later."""
        wanted = tuple(topics)
        self.subscriptions.update(wanted)
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        if not self._ready:
            self._applied.update(wanted)
            done.set_result(None)
        else:
            self._after(self._network.faults.slow_barrier_turns, lambda: self._apply(wanted, done))
        return done

    def unsubscribe(self, topics: Iterable[bytes]) -> None:
        """Cancel subscriptions."""
        for topic in topics:
            assert self.subscriptions[topic] > 0, f"{topic!r} was not subscribed to"
            self.subscriptions[topic] -= 1
            if not self.subscriptions[topic]:
                del self.subscriptions[topic]
                self._applied.discard(topic)

    async def close(self) -> None:
        """Stop."""
        self.close_sync()

    def close_sync(self) -> None:
        """Stop."""
        self.closed = True
        self._ready.clear()

    # For tests: faults of one node.

    def die(self) -> None:
        """Simulate a killed process: nothing is sent or received from now on."""
        self.paused = True
        self.closed = True

    def pause(self) -> None:
        """Simulate a stopped process: messages to it are queued."""
        self.paused = True

    def resume(self) -> None:
        """Let the process continue."""
        self.paused = False
        self._after(1, self._deliver_parked)

    def fill(self, link: int) -> None:
        """Fill the queue to a broker, until it is tried again after the next message."""
        self._full.add(link)

    def _try_again(self, link: int) -> None:
        if self._events is not None and not self.closed and link in self._full & self._ready:
            self._trying = link
            self._events.link_writable(link)
            self._trying = None

    def link_down(self, link: int) -> None:
        """Disconnect only this node from a broker."""
        if link in self._ready:
            self._ready.discard(link)
            self._tell(lambda events: events.link_lost(link))

    def link_up(self, link: int) -> None:
        """Connect this node to the broker again."""
        if self._network.up[link] and not self.closed and self._events is not None:
            self._after(2, lambda: self._connected(link))

    # For the network.

    def arrive(self, link: int, topic: bytes, body: bytes) -> None:
        """Deliver a message in the next turn, if this node subscribes to its topic."""
        if link in self._ready and any(topic.startswith(prefix) for prefix in self._applied):
            self._after(1, lambda: self._deliver(link, topic, body))

    def arrive_late(self, link: int, topic: bytes, body: bytes) -> None:
        """Deliver an old copy some turns later."""
        if any(topic.startswith(prefix) for prefix in self._applied):
            self._after(self._network.faults.dice.randrange(2, 40), lambda: self._deliver(link, topic, body))

    def _connected(self, link: int) -> None:
        self._ready.add(link)
        self._applied.update(self.subscriptions)
        self._tell(lambda events: events.link_connected(link))

    def _apply(self, topics: tuple[bytes, ...], done: asyncio.Future[None]) -> None:
        self._applied.update(topic for topic in topics if topic in self.subscriptions)
        if not done.done():
            done.set_result(None)

    def _deliver(self, link: int, topic: bytes, body: bytes) -> None:
        if (self.paused or self._parked) and not self.closed:
            # Also behind queued messages that are not delivered yet: a link keeps its order.
            self._parked.append((link, topic, body))
        elif self._events is not None and not self.closed:
            self._network.delivered[self.name] += 1
            self._events.message_received(link, topic, body)

    def _deliver_parked(self) -> None:
        parked, self._parked = self._parked, []
        for arrival in parked:
            self._deliver(*arrival)

    def _tell(self, say: Callable[[BusEvents], None]) -> None:
        events = self._events
        if events is not None:
            self._after(1, lambda: say(events))

    def _after(self, turns: int, act: Callable[[], None]) -> None:
        if turns <= 0:
            act()
        else:
            asyncio.get_running_loop().call_soon(self._after, turns - 1, act)
