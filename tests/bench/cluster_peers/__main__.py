"""Compare zmqio over nodes with python-socketio + Redis and Node + redis-adapter, side by side in one run.

`python -m tests.bench.cluster_peers [--only isolation,latency] [--peers NAMES] [--quick] [--nice -10]`.
Needs node, npm and redis-server; npm packages and redis-py are installed into `.tools` if they are missing.
About 6 minutes, with `--quick` about 2.
"""

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace

from tests.bench.cluster_peers.cluster import Cluster, running
from tests.bench.cluster_peers.noise import Noise
from tests.bench.cluster_peers.peers import PEERS, Peer
from tests.bench.cluster_peers.report import render
from tests.bench.cluster_peers.scenarios import FULL, QUICK, SCENARIOS, Plan
from tests.bench.engine.command import list_of, turned
from tests.bench.engine.results import Metric, Results


@dataclass(frozen=True, slots=True, eq=False)
class Contestant:
    """A cluster that is prepared for a scenario."""

    name: str
    cluster: Cluster
    runs: Iterator[dict[Metric, float]]


def main() -> int:
    """Run the requested scenarios and print the report; return 1 if a contestant failed."""
    arguments = _parse()
    plan = replace(QUICK if arguments.quick else FULL, nodes=arguments.nodes)
    os.nice(arguments.nice)
    results, noise, failures = Results(), Noise(), 0
    for name in arguments.only:
        peers = [peer for peer in PEERS if peer.name in arguments.peers and name in peer.scenarios]
        failures += _compare(name, peers, plan, results, noise)
    print(render(results, noise, " ".join(["python -m tests.bench.cluster_peers", *sys.argv[1:]])))
    return 1 if failures else 0


def _compare(scenario: str, peers: list[Peer], plan: Plan, results: Results, noise: Noise) -> int:
    """Run one scenario on all clusters, which run at the same time and take turns; return how many failed."""
    with ExitStack() as stack:
        contestants = [c for peer in peers if (c := _prepare(scenario, peer, plan, stack)) is not None]
        for round_ in range(plan.rounds[scenario]):
            for contestant in turned(contestants, round_):
                if not _run(contestant, results, noise):
                    contestants.remove(contestant)
        return len(peers) - len(contestants)


def _prepare(scenario: str, peer: Peer, plan: Plan, stack: ExitStack) -> Contestant | None:
    print(f"{scenario}: {peer.name}", file=sys.stderr, flush=True)
    measure, nodes = SCENARIOS[scenario]
    nodes = plan.nodes or nodes
    try:
        cluster = stack.enter_context(running(peer, nodes))
        runs = measure(cluster, plan)
        next(runs)
    except (OSError, RuntimeError) as error:
        print(f"FAILED {scenario}: {peer.name}: {error}", file=sys.stderr, flush=True)
        return None
    return Contestant(peer.name, cluster, runs)


def _run(contestant: Contestant, results: Results, noise: Noise) -> bool:
    try:
        before = noise.begin(contestant.cluster)
        results.add(contestant.name, next(contestant.runs))
        noise.end(contestant.cluster, before)
    except (OSError, RuntimeError) as error:
        print(f"FAILED: {contestant.name}: {error}", file=sys.stderr, flush=True)
        return False
    return True


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.cluster_peers", description=__doc__)
    names = [peer.name for peer in PEERS]
    parser.add_argument("--only", type=list_of(list(SCENARIOS)), default=list(SCENARIOS), metavar="SCENARIOS")
    parser.add_argument("--peers", type=list_of(names), default=names, metavar="NAMES")
    parser.add_argument("--nodes", type=int, default=0, help="of each cluster, in place of the scenario's number")
    parser.add_argument("--quick", action="store_true", help="fewer rounds and smaller counts")
    parser.add_argument(
        "--nice", type=int, default=0, help="added to the priority of everything here (root: negative)"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
