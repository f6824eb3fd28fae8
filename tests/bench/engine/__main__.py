"""Compare zmqio's engine with a C floor, Node socket.io and python-socketio, side by side in one run.

`python -m tests.bench.engine [--only fanout,polling,...] [--servers zmqio,node,...] [--quick]`; about 6 minutes,
with `--quick` about 3. `--cycles 50000` connects and disconnects that often instead. See `tests/bench/README.md`.
"""

import argparse
import resource
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

from tests.bench.engine.command import list_of, turned
from tests.bench.engine.cycles import run_cycles
from tests.bench.engine.load import Load, LoadError
from tests.bench.engine.noise import Noise
from tests.bench.engine.process import ServerProcess
from tests.bench.engine.report import render
from tests.bench.engine.results import Metric, Results
from tests.bench.engine.scenarios import FULL, QUICK, SCENARIOS, Plan, Scenario
from tests.bench.engine.servers import SERVERS, Kind


@dataclass(frozen=True, slots=True, eq=False)
class Contestant:
    """A server that is prepared for a scenario."""

    name: str
    server: ServerProcess
    runs: Iterator[dict[Metric, float]]


def main() -> int:
    """Run the requested scenarios and print the report; return 1 if a server failed."""
    arguments = _parse()
    if arguments.cycles:
        run_cycles(arguments.cycles)
        return 0
    plan = QUICK if arguments.quick else FULL
    kinds = [kind for kind in SERVERS if kind.name in arguments.servers]
    _raise_descriptor_limit()
    results, noise, failures = Results(), Noise(), 0
    for name in arguments.only:
        for scenario in SCENARIOS[name]:
            able = [kind for kind in kinds if name in kind.speaks]
            failures += _compare(scenario, able, plan, plan.rounds[name], results, noise)
    print(render(results, noise, " ".join(["python -m tests.bench.engine", *sys.argv[1:]])))
    return 1 if failures else 0


def _compare(
    scenario: Scenario, kinds: list[Kind], plan: Plan, rounds: int, results: Results, noise: Noise
) -> int:
    """Run one scenario on all servers, which run at the same time and take turns; return how many failed."""
    with ExitStack() as stack:
        contestants = [c for kind in kinds if (c := _prepare(scenario, kind, plan, stack)) is not None]
        for round_ in range(rounds):
            for contestant in turned(contestants, round_):
                if not _run(contestant, results, noise):
                    contestants.remove(contestant)
        return len(kinds) - len(contestants)


def _prepare(scenario: Scenario, kind: Kind, plan: Plan, stack: ExitStack) -> Contestant | None:
    print(f"{scenario.__name__}: {kind.name}", file=sys.stderr, flush=True)
    try:
        server = stack.enter_context(kind.start())
        runs = scenario(kind, server, stack.enter_context(Load(server.port)), plan)
        next(runs)
    except (LoadError, OSError, RuntimeError) as error:
        print(f"FAILED {scenario.__name__}: {kind.name}: {error}", file=sys.stderr, flush=True)
        return None
    return Contestant(kind.name, server, runs)


def _run(contestant: Contestant, results: Results, noise: Noise) -> bool:
    try:
        before = noise.begin(contestant.server)
        results.add(contestant.name, next(contestant.runs))
        noise.end(contestant.server, before)
    except (LoadError, OSError, RuntimeError) as error:
        print(f"FAILED: {contestant.name}: {error}", file=sys.stderr, flush=True)
        return False
    return True


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.engine", description=__doc__)
    names = [kind.name for kind in SERVERS]
    parser.add_argument("--only", type=list_of(list(SCENARIOS)), default=list(SCENARIOS), metavar="SCENARIOS")
    parser.add_argument("--servers", type=list_of(names), default=names, metavar="SERVERS")
    parser.add_argument("--quick", action="store_true", help="fewer rounds and smaller counts")
    parser.add_argument("--cycles", type=int, metavar="N", help="connect/disconnect cycles; nothing else is run")
    return parser.parse_args()


def _raise_descriptor_limit() -> None:
    """10,000 connections need as many descriptors, here and in the server."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


if __name__ == "__main__":
    sys.exit(main())
