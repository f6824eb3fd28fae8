"""Many clients on two nodes: connect, fan-out from the other node, idle. zmqio beside Node with redis-adapter.

    python -m tests.bench.cluster_peers.crowd [--only connect,fanout,idle] [--rounds 5]

The servers and the load generator are those of `tests.bench.engine`. Both clusters run at the same time and take
turns; `idle` watches both at once. CPU is user and system time of the processes of both nodes, and of the hub.
"""

import argparse
import resource
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack

from tests.bench.cluster_peers.engine_nodes import CONCURRENCY, NAMES, Pair, running
from tests.bench.cluster_peers.peers import NODE, ZMQIO, versions
from tests.bench.engine.command import list_of, turned
from tests.bench.engine.report import describe_machine
from tests.bench.engine.results import Metric, Results
from tests.bench.engine.tables import MEDIANS, Layout, Target

MEMBERS, BROADCASTS, BATCH, WINDOW = 500, 40, 5, 4
CONNECTIONS = 300
IDLE_CLIENTS, IDLE_S = 2_000, 52.0
"""Clients of both nodes together; seconds for two pings of each client."""
SETTLE_S = 2.0
LAYOUT = Layout((NODE,), metric=40, server=20, ratio=22, digits=3)

Found = dict[Metric, float]


def connect(pair: Pair) -> Iterator[Found]:
    """Clients that connect to node B and join a room; they stay."""
    pair.load.run(f"connect websocket {CONNECTIONS} {CONCURRENCY}")
    yield {}
    while True:
        used = _used(pair, f"connect websocket {CONNECTIONS} {CONCURRENCY}")
        yield _figures("connect and join", "us a connection", used, CONNECTIONS)


def fanout(pair: Pair) -> Iterator[Found]:
    """Broadcasts from node A to the members on node B, without pauses."""
    pair.load.run(f"connect websocket {MEMBERS} {CONCURRENCY}")
    pair.load.run(f"fanout {BROADCASTS} 64 {BATCH} {WINDOW}")
    yield {}
    while True:
        found: Found = {}
        for size, label in ((64, "fan-out 64 B"), (1024, "fan-out 1 KiB")):
            used = _used(pair, f"fanout {BROADCASTS} {size} {BATCH} {WINDOW}")
            found |= _figures(label, "us a delivery", used, BROADCASTS * MEMBERS)
        yield found


def watch_idle(pairs: Mapping[str, Pair], results: Results) -> None:
    """Two nodes with half of the clients each, which only answer pings."""
    for pair in pairs.values():
        for node in pair.nodes:
            pair.load.run(f"port {node.port}")
            pair.load.run(f"connect websocket {IDLE_CLIENTS // 2} {CONCURRENCY}")
    time.sleep(SETTLE_S)
    before, begun_at = {name: pair.cpu_s() for name, pair in pairs.items()}, time.monotonic()
    time.sleep(IDLE_S)
    seconds = time.monotonic() - begun_at
    for name, pair in pairs.items():
        used = _difference(pair.cpu_s(), before[name])
        results.add(name, _figures(f"idle, {IDLE_CLIENTS} clients", "ms a second", used, seconds * 1e3))


SCENARIOS: Mapping[str, Callable[[Pair], Iterator[Found]]] = {"connect": connect, "fanout": fanout}


def _wanted(scenario: str, metric: str, most: float) -> Target:
    text = f"{scenario}: {metric}, times {NODE}"
    return Target(text, most, lambda results: results.ratio((scenario, metric), ZMQIO, NODE))


TARGETS = (
    _wanted("connect and join", "CPU us a connection, nodes", 0.91),
    _wanted("fan-out 64 B", "CPU us a delivery, nodes and hub", 0.63),
    _wanted("fan-out 1 KiB", "CPU us a delivery, nodes and hub", 0.66),
    _wanted(f"idle, {IDLE_CLIENTS} clients", "CPU ms a second, nodes", 1.05),
)


def _used(pair: Pair, command: str) -> tuple[float, float]:
    before = pair.cpu_s()
    pair.load.run(command)
    return _difference(pair.cpu_s(), before)


def _difference(after: tuple[float, float], before: tuple[float, float]) -> tuple[float, float]:
    return after[0] - before[0], after[1] - before[1]


def _figures(label: str, unit: str, used: tuple[float, float], count: float) -> Found:
    nodes, hub = (1e6 * seconds / count for seconds in used)
    return {
        (label, f"CPU {unit}, nodes"): nodes,
        (label, f"CPU {unit}, hub"): hub,
        (label, f"CPU {unit}, nodes and hub"): nodes + hub,
    }


def _take_turns(scenario: str, rounds: int, results: Results) -> None:
    with ExitStack() as stack:
        runs = {name: SCENARIOS[scenario](stack.enter_context(running(name))) for name in NAMES}
        for prepared in runs.values():
            next(prepared)
        for round_ in range(rounds):
            for name in turned(list(runs), round_):
                results.add(name, next(runs[name]))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [*SCENARIOS, "idle"]
    parser.add_argument("--only", type=list_of(names), default=names, metavar="SCENARIOS")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    results = Results()
    for name in arguments.only:
        print(name, file=sys.stderr, flush=True)
        if name in SCENARIOS:
            _take_turns(name, arguments.rounds, results)
            continue
        with ExitStack() as stack:
            watch_idle({peer: stack.enter_context(running(peer)) for peer in NAMES}, results)
    print(f"machine:  {describe_machine()}\nversions: {versions()}")
    print(f"command:  python -m tests.bench.cluster_peers.crowd {' '.join(sys.argv[1:])}\n{MEDIANS}")
    print("\n".join(LAYOUT.lines(results, TARGETS)))


if __name__ == "__main__":
    main()
