"""Random faults from a seed: which ones, how long, and which at the same time."""

import asyncio
import random
from collections.abc import Callable

from tests.bench.soak import actions
from tests.bench.soak.actions import Action
from tests.bench.soak.faults import Fault
from tests.bench.soak.testbed import Setup, Testbed

__all__ = ["ROUND_S", "random_fault"]

ROUND_S = 45.0
"""Time in which faults begin. The last may take 10 s more; the replay buffer keeps 60 s."""
PAUSE_S = (1.0, 4.0)
TOGETHER = 0.3
"""Probability of two faults at once, and of a node fault in place of a network fault."""

Maker = Callable[[random.Random], tuple[str, Action]]


def random_fault(seed: int, round_: int) -> Fault:
    """Return one round: a new cluster with one or two brokers, and random faults.

    No fault lasts long enough for a node to be considered dead, or for the default replay buffer to overflow.
    Therefore all guarantees must hold.
    """
    chance = random.Random(f"{seed}/{round_}")
    setup = Setup(brokers=chance.choice((1, 2)), way="relay")
    return Fault(f"random-{seed}.{round_}", _play(chance), setup)


def _play(chance: random.Random) -> Action:
    async def act(testbed: Testbed) -> None:
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + ROUND_S
        began_at = loop.time()
        while loop.time() < ends_at:
            makers = [chance.choice(NETWORK_FAULTS)]
            if chance.random() < TOGETHER:
                makers.append(chance.choice(NODE_FAULTS))
            elif chance.random() < TOGETHER:
                makers = [chance.choice(NODE_FAULTS)]
            parts = [maker(chance) for maker in makers]
            words = " and ".join(text for text, _ in parts)
            testbed.notes.append(f"{loop.time() - began_at:5.1f} s: {words}")
            await asyncio.gather(*(part(testbed) for _, part in parts))
            await asyncio.sleep(chance.uniform(*PAUSE_S))

    return act


def _killed(chance: random.Random) -> tuple[str, Action]:
    s = round(chance.choice((0.1, 0.3, 1.0, chance.uniform(1, 8))), 1)
    return f"broker killed for {s} s", actions.broker_kill(s)


def _paused(chance: random.Random) -> tuple[str, Action]:
    s = round(chance.uniform(0.5, 10), 1)
    return f"broker suspended for {s} s", actions.broker_stop(s)


def _cut(chance: random.Random) -> tuple[str, Action]:
    s, times = round(chance.uniform(0.05, 2), 1), chance.randint(1, 4)
    return f"connections cut {times} times for {s} s", actions.relay_mode("cut", s, times=times, between_s=0.5)


def _stalled(chance: random.Random) -> tuple[str, Action]:
    s = round(chance.uniform(0.5, 10), 1)
    return f"connections stalled for {s} s", actions.relay_mode("stall", s)


def _slow(chance: random.Random) -> tuple[str, Action]:
    s, delay_s = round(chance.uniform(1, 5), 1), round(chance.uniform(0.02, 0.3), 2)
    return f"connections delayed by {delay_s} s for {s} s", actions.relay_mode(f"delay {delay_s}", s)


def _node_stopped(chance: random.Random) -> tuple[str, Action]:
    s, index = round(chance.uniform(0.2, 3), 1), chance.randrange(3)
    return f"node {index} suspended for {s} s", actions.node_stop(s, index=index)


def _node_blocked(chance: random.Random) -> tuple[str, Action]:
    s, index = round(chance.uniform(0.2, 3), 1), chance.randrange(3)
    return f"node {index} blocked for {s} s", actions.node_stall(s, index=index)


NETWORK_FAULTS: tuple[Maker, ...] = (_killed, _paused, _cut, _stalled, _slow)
NODE_FAULTS: tuple[Maker, ...] = (_node_stopped, _node_blocked)
