"""The scenarios: each prepares a server that has just started, then yields the values of one run after the other.

Everything is bounded: counts by `Plan`, time by the load generator's limit for each command.
"""

import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from tests.bench.engine.load import Load, Result
from tests.bench.engine.process import ServerProcess
from tests.bench.engine.results import Metric
from tests.bench.engine.servers import Kind

__all__ = ["FULL", "QUICK", "SCENARIOS", "Plan", "Scenario"]

BATCH, WINDOW = 5, 4
"""Broadcasts of one order, and orders that are under way: the server always has work, and at most 20 KiB lie in
one client's socket."""
CONCURRENCY = 32
SETTLE_S = 0.5


@dataclass(frozen=True, slots=True)
class Plan:
    """The sizes of the measurements.

    Attributes:
        rounds: runs of each server by scenario; servers take turns.
        clients: that a broadcast reaches.
        polling_clients: the same, for long-polling.
        broadcasts: of one run of a server of weight 1; see `Kind.weight`.
        polled_broadcasts: of one run; each is fetched by all before the next.
        connections: of one run; they stay.
        idle_from, idle_to: connections between which memory is measured.
        roundtrips: of one run, by one client.
        paced_clients, paced_broadcasts: 20 broadcasts a second, of one run.
        held_members, held_broadcasts: for the longest hold of the loop.
    """

    rounds: Mapping[str, int]
    clients: int = 1000
    polling_clients: int = 300
    broadcasts: int = 8
    polled_broadcasts: int = 10
    connections: int = 300
    idle_from: int = 500
    idle_to: int = 3000
    roundtrips: int = 1000
    paced_clients: int = 500
    paced_broadcasts: int = 40
    held_members: int = 10_000
    held_broadcasts: int = 8


FULL = Plan(
    {"fanout": 15, "polling": 9, "connect": 9, "idle": 1, "roundtrip": 9, "paced": 5, "loop_hold": 2, "start": 9}
)
QUICK = Plan(
    {"fanout": 5, "polling": 3, "connect": 3, "idle": 1, "roundtrip": 3, "paced": 1, "loop_hold": 1, "start": 3},
    idle_to=1500,
)

Found = dict[Metric, float]
Scenario = Callable[[Kind, ServerProcess, Load, Plan], Iterator[Found]]
"""A generator: the first value is empty and shows that the server is prepared; then one value per run."""


@dataclass(frozen=True, slots=True)
class _Run:
    """One command, and the CPU that the server took for it."""

    result: Result
    cpu_s: float

    @property
    def seconds(self) -> float:
        return float(self.result["seconds"])

    def per(self, count: float) -> float:
        """Server CPU in microseconds for each of `count`."""
        return self.cpu_s / count * 1e6


def _measure(server: ServerProcess, load: Load, command: str) -> _Run:
    before = server.cpu_s()
    result = load.run(command)
    return _Run(result, server.cpu_s() - before)


def fanout(kind: Kind, server: ServerProcess, load: Load, plan: Plan) -> Iterator[Found]:
    """Broadcasts to a room of WebSocket clients, without pauses."""
    load.run(f"connect websocket {plan.clients} {CONCURRENCY}")
    broadcasts = plan.broadcasts * kind.weight
    load.run(f"fanout {2 * broadcasts} 64 {BATCH} {WINDOW}")
    load.run(f"fanout {broadcasts} 1024 {BATCH} {WINDOW}")
    yield {}
    while True:
        found: Found = {}
        for size, label in ((64, "64 B"), (1024, "1 KiB")):
            run = _measure(server, load, f"fanout {broadcasts} {size} {BATCH} {WINDOW}")
            found.update(_delivered(f"fan-out {label}", run))
        yield found


def polling(kind: Kind, server: ServerProcess, load: Load, plan: Plan) -> Iterator[Found]:
    """Broadcasts to a room of long-polling clients: one event per poll, the next one when all have received it."""
    load.run("connect websocket 1 1")
    load.run(f"connect polling {plan.polling_clients} {CONCURRENCY}")
    load.run(f"fanout {plan.polled_broadcasts} 64 1 1")
    yield {}
    while True:
        run = _measure(server, load, f"fanout {plan.polled_broadcasts} 64 1 1")
        yield _delivered("polled delivery 64 B", run)


def connect(kind: Kind, server: ServerProcess, load: Load, plan: Plan) -> Iterator[Found]:
    """WebSocket clients that connect, join the namespace and a room, and stay."""
    load.run(f"connect websocket {plan.connections} {CONCURRENCY}")
    load.run("fanout 1 64 1 1")  # checks that they are in the room
    yield {}
    while True:
        run = _measure(server, load, f"connect websocket {plan.connections} {CONCURRENCY}")
        load.run("fanout 1 64 1 1")
        yield {
            ("connect and join", "CPU us/connection"): run.per(plan.connections),
            ("connect and join", "connections/s"): plan.connections / run.seconds,
        }


def roundtrip(kind: Kind, server: ServerProcess, load: Load, plan: Plan) -> Iterator[Found]:
    """One client that sends one acknowledged event after the other."""
    load.run("connect websocket 1 1")
    load.run(f"roundtrip {2 * plan.roundtrips}")
    yield {}
    while True:
        run = _measure(server, load, f"roundtrip {plan.roundtrips}")
        yield {
            ("round trip", "p50 us"): run.result["p50_us"],
            ("round trip", "p99 us"): run.result["p99_us"],
            ("round trip", "CPU us/event"): run.per(plan.roundtrips),
        }


def paced(kind: Kind, server: ServerProcess, load: Load, plan: Plan) -> Iterator[Found]:
    """20 broadcasts a second; latency from when the order was due to each client's frame."""
    load.run(f"connect websocket {plan.paced_clients} {CONCURRENCY}")
    load.run(f"fanout {10 * kind.weight} 64 1 1")
    yield {}
    while True:
        result = load.run(f"paced {plan.paced_broadcasts} 64 50000")
        label = f"paced 20/s to {plan.paced_clients}"
        yield {(label, "p50 us"): result["p50_us"], (label, "p99 us"): result["p99_us"]}


def idle(kind: Kind, server: ServerProcess, load: Load, plan: Plan) -> Iterator[Found]:
    """Resident memory of idle WebSocket connections."""
    yield from _idle(server, load, plan, "websocket")


def idle_polling(kind: Kind, server: ServerProcess, load: Load, plan: Plan) -> Iterator[Found]:
    """Resident memory of polling sessions with a waiting GET."""
    yield from _idle(server, load, plan, "polling")


def _idle(server: ServerProcess, load: Load, plan: Plan, transport: str) -> Iterator[Found]:
    load.run("connect websocket 1 1")
    load.run(f"connect {transport} {plan.idle_from} 16")
    before = _settled_bytes(server, load)
    yield {}
    load.run(f"connect {transport} {plan.idle_to - plan.idle_from} 16")
    grown = _settled_bytes(server, load) - before
    yield {("idle memory", f"{transport} KB"): grown / (plan.idle_to - plan.idle_from) / 1e3}


def loop_hold(kind: Kind, server: ServerProcess, load: Load, plan: Plan) -> Iterator[Found]:
    """The longest time that one broadcast blocks the event loop; the probe is in the server."""
    load.run(f"connect websocket {plan.held_members} 64")
    yield {}
    while True:
        result = load.run(f"call hold {plan.held_broadcasts} 64")
        (idle_wall, _), *turns = result["ack"][0]
        walls, cpus = sorted(wall for wall, _ in turns), sorted(cpu for _, cpu in turns)
        label = f"loop hold, {plan.held_members} members"
        yield {
            (label, "longest, median ms"): walls[len(walls) // 2],
            (label, "longest, worst ms"): walls[-1],
            (label, "most CPU, worst ms"): cpus[-1],
            (label, "without broadcast, ms"): idle_wall,
        }


def start(kind: Kind, server: ServerProcess, load: Load, plan: Plan) -> Iterator[Found]:
    """A process from its start until it accepts connections, and an empty one of Python.

    The first start, which is not measured, leaves the compiled modules.
    """
    yield {}
    while True:
        with kind.start() as another:
            cpu_s = another.cpu_s()
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-c", "pass"], check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        empty_s = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
        yield {("start", "CPU s"): cpu_s, ("start", "CPU s, empty Python"): empty_s}


def _delivered(label: str, run: _Run) -> Found:
    count = run.result["deliveries"]
    return {
        (label, "CPU us/delivery"): run.per(count),
        (label, "deliveries/s"): count / run.seconds,
        (label, "load CPU us/frame"): run.result["load_cpu_s"] / count * 1e6,
    }


def _settled_bytes(server: ServerProcess, load: Load) -> int:
    for _ in range(2):
        load.run("call collect 0 64")
        time.sleep(SETTLE_S)
    return server.resident_bytes()


SCENARIOS: Mapping[str, tuple[Scenario, ...]] = {
    "fanout": (fanout,),
    "polling": (polling,),
    "connect": (connect,),
    "idle": (idle, idle_polling),
    "roundtrip": (roundtrip,),
    "paced": (paced,),
    "loop_hold": (loop_hold,),
    "start": (start,),
}
