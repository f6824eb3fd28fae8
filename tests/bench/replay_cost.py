"""Measure what reliable delivery costs: CPU per published and per received message, with replay and without it.

    python -m tests.bench.replay_cost

One process runs nodes on a bus that does nothing. Rounds alternate between the code as it is and with replay
bypassed (`ReplayBuffer.add` does nothing, `Receiver.accept` accepts everything); the difference is the cost. The
replay buffer is small and full, so each message drops the oldest, as in a node that has run for a while. Numbering
the messages and delivering to sockets are part of both.
"""

import argparse
import asyncio
import os
import platform
import statistics
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from tests.bench.engine.report import describe_machine
from zmqio.adapter.base import BusGap, Identity
from zmqio.adapter.bus import BusEvents
from zmqio.cluster.delivery.receiver import Receiver
from zmqio.cluster.delivery.replay_buffer import ReplayBuffer
from zmqio.cluster.delivery.sequencer import Sequencer
from zmqio.cluster.node import Node
from zmqio.config import BusOptions
from zmqio.ids import NodeId, NodeTag
from zmqio.protocol import messages as m
from zmqio.protocol.envelope import encode
from zmqio.protocol.messages import Envelope, Message
from zmqio.protocol.publish import PublishRequest
from zmqio.protocol.topic import room_topic

MESSAGES = 20_000
TARGET_US = 2.0
ROOMS = [room_topic("zmqio", "/", f"room-{number}") for number in range(1_000)]
FRAMES = ('2["message",{"text":"' + "x" * 64 + '"}]',)
BROADCASTS = [m.BroadcastMessage("/", (f"room-{number}",), (), False, FRAMES) for number in range(1_000)]
MODES = ("bypassed", "active")


class NoBus:
    """A bus that accepts every message and delivers none."""

    brokers = "none"
    connected_links: Collection[int] = (0,)
    counters: Mapping[str, int] = {}

    async def start(self, events: BusEvents) -> None:
        """Do nothing."""

    def publish(self, topic: bytes, body: bytes, *, link: int | None = None) -> int:
        """Accept the message."""
        return 1

    def subscribe(self, topics: Iterable[bytes]) -> Awaitable[None]:
        """Do nothing."""
        done = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done

    def unsubscribe(self, topics: Iterable[bytes]) -> None:
        """Do nothing."""

    async def close(self) -> None:
        """Do nothing."""

    def close_sync(self) -> None:
        """Do nothing."""


class NullReceiver:
    """A namespace that counts its messages, and listeners that do nothing."""

    received = 0

    def receive(self, message: Message, sender: NodeId) -> None:
        """Count the message."""
        self.received += 1

    def apply(self, request: PublishRequest) -> None:
        """Do nothing."""

    def node_joined(self, node_id: NodeId) -> None:
        """Do nothing."""

    def node_left(self, node_id: NodeId, reason: str) -> None:
        """Do nothing."""

    def bus_gap(self, gap: BusGap) -> None:
        """Do nothing."""


@contextmanager
def bypassed() -> Iterator[None]:
    """Make the parts of replay do nothing."""
    parts: list[tuple[Any, str, Callable[..., Any]]] = [
        (ReplayBuffer, "add", lambda self, n, topic, body, now: None),
        (ReplayBuffer, "trim", lambda self: None),
        (Receiver, "accept", lambda self, link, topic, message_id, now: True),
    ]
    kept = [getattr(owner, name) for owner, name, _ in parts]
    for owner, name, stub in parts:
        setattr(owner, name, stub)
    try:
        yield
    finally:
        for (owner, name, _), method in zip(parts, kept, strict=True):
            setattr(owner, name, method)


class Bench:
    """One publishing node per mode, and one node that receives from one sender per mode."""

    def __init__(self) -> None:
        options = BusOptions(replay_ring_bytes=4 << 20)
        self.namespace = NullReceiver()
        self.publishers = {mode: self._node(f"pub{mode[0]}", options) for mode in MODES}
        self.receiver = self._node("recv", options)
        self.senders = {mode: Sequencer(NodeId(f"snd{mode[0]}AAAAAAAAAAA")) for mode in MODES}
        self.receiver.inbound.attach("/", self.namespace)
        self.receiver.inbound.link_connected(0)

    async def subscribe(self) -> None:
        """Subscribe to all rooms."""
        await self.receiver.subscribe(ROOMS)

    def publish(self, mode: str) -> float:
        """Measure publishing: microseconds of CPU per message."""
        publish = self.publishers[mode].outbox.publish
        began = time.process_time()
        for number in range(MESSAGES):
            publish(ROOMS[number % 1_000], BROADCASTS[number % 1_000])
        return (time.process_time() - began) / MESSAGES * 1e6

    def receive(self, mode: str) -> float:
        """Measure receiving: microseconds of CPU per message."""
        sequencer = self.senders[mode]
        frames = [
            (topic, encode(Envelope(sequencer.next_id(topic), message)))
            for topic, message in zip(ROOMS * (MESSAGES // 1_000), BROADCASTS * (MESSAGES // 1_000), strict=True)
        ]
        receive, before = self.receiver.inbound.message_received, self.namespace.received
        began = time.process_time()
        for topic, body in frames:
            receive(0, topic, body)
        took = time.process_time() - began
        assert self.namespace.received - before == MESSAGES
        return took / MESSAGES * 1e6

    def _node(self, tag: str, options: BusOptions) -> Node:
        return Node(Identity(NodeId(f"{tag}BBBBBBBBBBB"), NodeTag(tag)), NoBus(), options, NullReceiver())


async def measure(rounds: int) -> dict[tuple[str, str], list[float]]:
    """Measure all rounds: (side, mode) -> microseconds per message, one value per round."""
    bench = Bench()
    await bench.subscribe()
    times: dict[tuple[str, str], list[float]] = {}
    for number in range(rounds + 1):
        for mode in MODES if number % 2 else MODES[::-1]:
            for side, run in (("publish", bench.publish), ("receive", bench.receive)):
                if mode == "bypassed":
                    with bypassed():
                        took = run(mode)
                else:
                    took = run(mode)
                if number:  # the first round fills the replay buffer
                    times.setdefault((side, mode), []).append(took)
    return times


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    print(f"machine:  {describe_machine()}")
    print(f"versions: Python {platform.python_version()}   load {os.getloadavg()[0]:.1f}")
    print(f"command:  python -m tests.bench.replay_cost --rounds {options.rounds}")
    times = asyncio.run(measure(options.rounds))
    heads = f"{'bypassed':>10}{'active':>10}{'cost':>8}{'target':>9}{'p90 of cost':>13}"
    print(f"\n{'CPU us per message, median':<28}{heads}")
    for side in ("publish", "receive"):
        without, with_replay = (times[side, mode] for mode in MODES)
        costs = sorted(after - before for before, after in zip(without, with_replay, strict=True))
        print(
            f"{side:<28}{statistics.median(without):>10.2f}{statistics.median(with_replay):>10.2f}"
            f"{statistics.median(costs):>8.2f}{f'<= {TARGET_US:g}':>9}{costs[int(0.9 * (len(costs) - 1))]:>13.2f}"
        )


if __name__ == "__main__":
    main()
