"""The faults, as coroutines on a testbed: each causes a fault and removes it while the load continues."""

import asyncio
import random
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeAlias

from tests.bench.soak.load import MEMBERS, ROOMS
from tests.bench.soak.testbed import Testbed

__all__ = [
    "Action",
    "broker_kill",
    "broker_stop",
    "join_churn",
    "link_down",
    "nats_kill",
    "nats_rolling",
    "nats_stop",
    "node_block",
    "node_kill",
    "node_stall",
    "node_stop",
    "nothing",
    "relay_mode",
]

Action: TypeAlias = Callable[[Testbed], Awaitable[None]]

NOTICE_LIMIT_S = 30.0
"""Longest wait for other nodes to detect a dead node. The limit of the guarantee is shorter."""
POLL_S = 0.1


def nothing(s: float) -> Action:
    """No fault, for `s` seconds."""
    return lambda testbed: asyncio.sleep(s)


def broker_kill(away_s: float, *, times: int = 1, between_s: float = 0.0) -> Action:
    """Kill the first broker (SIGKILL), and start it again after `away_s` seconds."""

    async def act(testbed: Testbed) -> None:
        for turn in range(times):
            if turn:
                await asyncio.sleep(between_s)
            async with _killed_broker(testbed):
                await asyncio.sleep(away_s)

    return act


def broker_stop(s: float) -> Action:
    """Suspend the first broker for `s` seconds (SIGSTOP, SIGCONT)."""

    async def act(testbed: Testbed) -> None:
        testbed.brokers[0].pause()
        try:
            await asyncio.sleep(s)
        finally:
            testbed.brokers[0].resume()

    return act


def nats_kill(away_s: float, *, times: int = 1, between_s: float = 0.0) -> Action:
    """Kill one NATS server after the other (SIGKILL), and start each again after `away_s` seconds."""

    async def act(testbed: Testbed) -> None:
        assert testbed.nats is not None
        for turn in range(times):
            if turn:
                await asyncio.sleep(between_s)
            server = testbed.nats.servers[turn % len(testbed.nats.servers)]
            server.kill()
            await asyncio.sleep(away_s)
            await asyncio.to_thread(server.start)
            await asyncio.to_thread(testbed.nats.wait_complete)

    return act


def nats_stop(s: float) -> Action:
    """Suspend the first NATS server for `s` seconds (SIGSTOP, SIGCONT)."""

    async def act(testbed: Testbed) -> None:
        assert testbed.nats is not None
        testbed.nats.servers[0].pause()
        try:
            await asyncio.sleep(s)
        finally:
            testbed.nats.servers[0].resume()

    return act


def nats_rolling(between_s: float) -> Action:
    """Restart all NATS servers, one after the other: "lame duck mode" first, then a stop."""

    async def act(testbed: Testbed) -> None:
        assert testbed.nats is not None
        for server in testbed.nats.servers:
            server.send_signal(signal.SIGUSR2)
            await asyncio.sleep(between_s)
            await asyncio.to_thread(server.stop)
            await asyncio.to_thread(server.start)
            await asyncio.to_thread(testbed.nats.wait_complete)
            await asyncio.sleep(between_s)

    return act


def node_stop(s: float, *, index: int = 2) -> Action:
    """Suspend a node for `s` seconds (SIGSTOP, SIGCONT)."""

    async def act(testbed: Testbed) -> None:
        testbed.nodes[index].send_signal(signal.SIGSTOP)
        try:
            await asyncio.sleep(s)
        finally:
            testbed.nodes[index].send_signal(signal.SIGCONT)

    return act


def node_stall(s: float, *, index: int = 2) -> Action:
    """Block the event loop of a node for `s` seconds."""

    async def act(testbed: Testbed) -> None:
        await testbed.nodes[index].do("block", s=s)
        await asyncio.sleep(s)

    return act


def node_block(s: float, *, away_s: float = 0.5, index: int = 2) -> Action:
    """Block the event loop of a node; during that time, kill the broker and start it again."""

    async def act(testbed: Testbed) -> None:
        ends_at = asyncio.get_running_loop().time() + s
        await testbed.nodes[index].do("block", s=s)
        await asyncio.sleep(min(1.0, s / 4))
        async with _killed_broker(testbed):
            await asyncio.sleep(away_s)
        await asyncio.sleep(max(ends_at - asyncio.get_running_loop().time(), 0))

    return act


def node_kill(*, index: int = 2) -> Action:
    """Kill a node (SIGKILL), and wait until the others have detected its death."""

    async def act(testbed: Testbed) -> None:
        victim = testbed.nodes[index]
        victim.killed_ns = time.monotonic_ns()
        victim.send_signal(signal.SIGKILL)
        ends_at = asyncio.get_running_loop().time() + NOTICE_LIMIT_S
        while asyncio.get_running_loop().time() < ends_at:
            states = await asyncio.gather(*(node.state() for node in testbed.living))
            if all(any(left[0] == victim.node_id for left in state["nodes_left"]) for state in states):
                return
            await asyncio.sleep(POLL_S)

    return act


def relay_mode(command: str, s: float, *, times: int = 1, between_s: float = 0.0) -> Action:
    """Apply a command to the connections of the relay for `s` seconds; see `Relay` for the commands."""

    async def act(testbed: Testbed) -> None:
        assert testbed.relay is not None
        for turn in range(times):
            if turn:
                await asyncio.sleep(between_s)
            await testbed.relay.do(command)
            await asyncio.sleep(s)
            await testbed.relay.do("go")

    return act


def link_down(s: float) -> Action:
    """Take the link between the network namespaces down."""

    async def act(testbed: Testbed) -> None:
        assert testbed.netns is not None
        testbed.netns.link("down")
        try:
            await asyncio.sleep(s)
        finally:
            testbed.netns.link("up")

    return act


def join_churn(away_s: float, *, around_s: float = 1.5, pause_s: float = 0.04, seed: int = 1) -> Action:
    """Let clients join and leave rooms continuously, while the broker is killed and started again.

    Every fourth join is kept: all messages after its acknowledgement are expected. Clients leave the other rooms
    after a moment. Messages of these rooms may be missing, but not duplicated or overtaken.
    """

    async def act(testbed: Testbed) -> None:
        churning = asyncio.create_task(_churn(testbed, random.Random(seed), pause_s))
        try:
            await asyncio.sleep(around_s)
            before = len(testbed.kept)
            async with _killed_broker(testbed):
                await asyncio.sleep(away_s)
            during_outage = len(testbed.kept) - before
            await asyncio.sleep(around_s)
        finally:
            churning.cancel()
            await asyncio.gather(churning, return_exceptions=True)
        testbed.notes.append(f"{len(testbed.kept)} joins were kept, {during_outage} of them made without a broker")

    return act


KEPT_JOINS = 16
"""Each adds 250 deliveries per second at 5,000 messages per second; all of them half of the base load."""
STAY_S = 0.3


async def _churn(testbed: Testbed, chance: random.Random, pause_s: float) -> None:
    passing: dict[tuple[int, int], float] = {}
    loop = asyncio.get_running_loop()
    while True:
        client, room = chance.choice(list(MEMBERS)), chance.randrange(ROOMS)
        taken = room in MEMBERS[client][1] or (client, room) in testbed.kept or (client, room) in passing
        if not taken:
            await testbed.checker.change(client, room, joins=True)
            if chance.random() < 0.25 and len(testbed.kept) < KEPT_JOINS:
                testbed.kept.add((client, room))
            else:
                passing[client, room] = loop.time() + STAY_S
        for (who, where), until in list(passing.items()):
            if until <= loop.time():
                del passing[who, where]
                await testbed.checker.change(who, where, joins=False)
        await asyncio.sleep(pause_s)


@asynccontextmanager
async def _killed_broker(testbed: Testbed):  # type: ignore[no-untyped-def]
    broker = testbed.brokers[0]
    await asyncio.to_thread(broker.kill)
    try:
        yield
    finally:
        await asyncio.to_thread(broker.start)
