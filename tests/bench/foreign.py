"""The cost of a request that reaches a node other than the owner of its session, compared with the owner.

Run it with `python -m tests.bench.foreign`. A real broker and two node processes; one client, which sends one
acknowledged event after the other (`round trip`), or many without waiting (`stream`). Rounds at the owner and at
the other node take turns, so that what disturbs the machine disturbs both. CPU is user and system time of a whole
process, divided by requests (polling: a POST and a GET are two) or by messages (WebSocket: an event and its
acknowledgement are two).
"""

import argparse
import asyncio
import json
import secrets
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from websockets.asyncio.client import ClientConnection, connect

from tests.bench.engine.report import describe_machine
from tests.support.broker import BrokerProcess
from tests.support.cluster import Cluster, NodeProcess
from tests.support.node_config import NodeConfig
from tests.support.poll_connection import PollConnection, open_connection

BASE = "EIO=4&transport=polling"
IN_FLIGHT = 100
"""Events of a stream that are not acknowledged yet; `max_pending_events` is as many."""

RunRound = Callable[[int], Awaitable[list[float]]]
"""Does so many exchanges; gives the seconds that each took, or none."""


@dataclass
class Place:
    """The measurements at one of the two nodes."""

    name: str
    run: RunRound
    latencies_us: list[float] = field(default_factory=list)
    owner_us: list[float] = field(default_factory=list)
    other_us: list[float] = field(default_factory=list)
    per_s: list[float] = field(default_factory=list)


async def measure(places: list[Place], nodes: list[NodeProcess], rounds: int, count: int) -> None:
    """Let the places take turns; each exchange is two requests or messages."""
    clocks = [(~node.pid << 3) | 2 for node in nodes]  # clock_getcpuclockid(3)
    for number in range(rounds + 1):
        for place in places:
            before, began = [time.clock_gettime(clock) for clock in clocks], time.perf_counter()
            latencies = await place.run(count)
            wall_s = time.perf_counter() - began
            owner, other = (
                (time.clock_gettime(clock) - cpu_s) / (2 * count) * 1e6
                for clock, cpu_s in zip(clocks, before, strict=True)
            )
            if number:  # the first round warms up
                place.latencies_us += [latency * 1e6 for latency in latencies]
                place.owner_us.append(owner)
                place.other_us.append(other)
                place.per_s.append(2 * count / wall_s)


def table(title: str, unit: str, places: list[Place]) -> None:
    """Print one comparison."""
    print(f"\n{title}")
    head = f"{'':10}{'p50 us':>9}{'p99 us':>9}{f'{unit}/s':>12}{'owner CPU us':>14}{'other CPU us':>14}{'both':>8}"
    print(head)
    for place in places:
        owner, other = statistics.median(place.owner_us), statistics.median(place.other_us)
        ordered = sorted(place.latencies_us)
        p50 = f"{statistics.median(ordered):9.0f}" if ordered else f"{'-':>9}"
        p99 = f"{ordered[len(ordered) * 99 // 100]:9.0f}" if ordered else f"{'-':>9}"
        rate = statistics.median(place.per_s)
        print(f"{place.name:10}{p50}{p99}{rate:12.0f}{owner:14.1f}{other:14.1f}{owner + other:8.1f}")


# Polling.


async def open_session(node: NodeProcess) -> str:
    """Open a polling session and enter the namespace."""
    async with open_connection(node.port) as own:
        opened = await own.get(BASE)
        sid = str(json.loads(opened.text[1:])["sid"])
        own.request(f"{BASE}&sid={sid}", method="POST", body="40")
        await own.answer()
        received = ""
        while "welcome" not in received:
            received += (await own.get(f"{BASE}&sid={sid}")).text
        return sid


def polling(connection: PollConnection, sid: str) -> RunRound:
    """One POST with an event, one GET with its acknowledgement, and so on."""
    query = f"{BASE}&sid={sid}"

    async def run(count: int) -> list[float]:
        latencies = []
        for number in range(count):
            began = time.perf_counter()
            connection.request(query, method="POST", body=f'42{number}["echo",{number}]')
            posted = await connection.answer()
            between = time.perf_counter()
            answer = await connection.get(query)
            latencies += [between - began, time.perf_counter() - between]
            assert (posted.text, answer.text) == ("ok", f"43{number}[{number}]"), (posted, answer)
        return latencies

    return run


# WebSocket.


@asynccontextmanager
async def websocket(owner: NodeProcess, node: NodeProcess) -> AsyncIterator[ClientConnection]:
    """A session of `owner` that has moved to a WebSocket at `node`."""
    sid = await open_session(owner)
    url = f"ws://127.0.0.1:{node.port}/socket.io/?EIO=4&transport=websocket&sid={sid}"
    async with connect(url, compression=None, ping_interval=None) as socket:
        await socket.send("2probe")
        assert await socket.recv() == "3probe"
        await socket.send("5")
        yield socket


def round_trip(socket: ClientConnection) -> RunRound:
    """One event, its acknowledgement, the next event."""

    async def run(count: int) -> list[float]:
        latencies = []
        for number in range(count):
            began = time.perf_counter()
            await socket.send(f'42{number}["echo",{number}]')
            assert await socket.recv() == f"43{number}[{number}]"
            latencies.append(time.perf_counter() - began)
        return latencies

    return run


def stream(socket: ClientConnection) -> RunRound:
    """Many events under way."""

    async def run(count: int) -> list[float]:
        for number in range(count + IN_FLIGHT):
            if number < count:
                await socket.send(f'42{number}["echo",{number}]')
            if number >= IN_FLIGHT:
                assert await socket.recv() == f"43{number - IN_FLIGHT}[{number - IN_FLIGHT}]"
        return []

    return run


async def bench(rounds: int, count: int) -> None:
    """Run everything and print the tables."""
    bus = {"prefix": f"bench-{secrets.token_hex(4)}"}
    async with (
        BrokerProcess() as broker,
        Cluster(broker.address, [NodeConfig("owner", bus=bus), NodeConfig("other", bus=bus)]) as cluster,
    ):
        owner, other = nodes = cluster.nodes
        sids = [await open_session(owner) for _ in nodes]
        async with open_connection(owner.port) as local, open_connection(other.port) as foreign:
            places = [Place("owner", polling(local, sids[0])), Place("other", polling(foreign, sids[1]))]
            await measure(places, nodes, rounds, count)
            table("polling: POST of an event, GET of its acknowledgement", "requests", places)
        async with websocket(owner, owner) as near, websocket(owner, other) as far:
            places = [Place("owner", round_trip(near)), Place("other", round_trip(far))]
            await measure(places, nodes, rounds, count)
            table("WebSocket: round trip of an acknowledged event", "messages", places)
            places = [Place("owner", stream(near)), Place("other", stream(far))]
            await measure(places, nodes, rounds, 4 * count)
            table(f"WebSocket: stream of acknowledged events, {IN_FLIGHT} under way", "messages", places)


def main() -> None:
    """Parse the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.foreign")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--count", type=int, default=500, help="exchanges a round and place")
    options = parser.parse_args()
    print(f"command: python -m tests.bench.foreign {' '.join(sys.argv[1:])}".rstrip())
    print(describe_machine())
    asyncio.run(bench(options.rounds, options.count))


if __name__ == "__main__":
    main()
