"""Compare the balancer of `zmqio serve` with nginx by short HTTP connections to the same trivial workers.

`python -m tests.bench.balancer [--workers 2] [--acceptors 1] [--connections 2000] [--rounds 7]`; takes a minute.
"""

import argparse
import statistics
import sys
from contextlib import ExitStack
from importlib.metadata import version

from tests.bench.balancer.contestants import CONTESTANTS, ZMQIO, Contestant, running
from tests.bench.balancer.load import run_load
from tests.bench.engine.command import turned
from tests.bench.engine.noise import Noise
from tests.bench.engine.report import describe_machine
from tests.bench.engine.results import Results
from zmqio.launcher.options import ServeOptions, acceptor_count

COLUMNS = (
    ("connections", "a second"),
    ("balancer", "CPU us/connection"),
    ("workers", "CPU us/connection"),
)
AT_A_TIME = 64
WARM_UP = 200


def main() -> None:
    """Run the benchmark and print the report."""
    arguments = _parse()
    results, noise = Results(), Noise()
    with ExitStack() as stack:
        contestants = [
            stack.enter_context(running(name, arguments.workers, arguments.acceptors)) for name in CONTESTANTS
        ]
        for contestant in contestants:
            run_load(contestant.server.port, WARM_UP, AT_A_TIME)
        for round_ in range(arguments.rounds):
            for contestant in turned(contestants, round_):
                _measure(contestant, arguments.connections, results, noise)
    print(_render(results, noise, arguments))


def _measure(contestant: Contestant, connections: int, results: Results, noise: Noise) -> None:
    before = noise.begin(contestant.server)
    balancer, workers = contestant.balancer_cpu_s(), contestant.workers_cpu_s()
    seconds = run_load(contestant.server.port, connections, AT_A_TIME)
    found = (
        connections / seconds,
        (contestant.balancer_cpu_s() - balancer) / connections * 1e6,
        (contestant.workers_cpu_s() - workers) / connections * 1e6,
    )
    noise.end(contestant.server, before)
    results.add(contestant.name, dict(zip(COLUMNS, found, strict=True)))


def _render(results: Results, noise: Noise, arguments: argparse.Namespace) -> str:
    lines = [
        f"machine:  {describe_machine()}",
        f"versions: Python {sys.version.split()[0]}, uvicorn {version('uvicorn')}, uvloop {version('uvloop')}",
        f"command:  {' '.join(['python -m tests.bench.balancer', *sys.argv[1:]])}",
        f"noise:    workers of the same contestant included: {noise}",
        f"{arguments.rounds} rounds of {arguments.connections} connections, {AT_A_TIME} at a time, one GET each; "
        f"{arguments.workers} workers, {_acceptors(arguments)} acceptors; everything but the clients on one core. "
        "Medians [lowest - highest].",
        "`direct` is one worker without a balancer: its CPU is in the balancer's column.",
        "",
        f"{'':<18}" + "".join(f"{' '.join(column):>38}" for column in COLUMNS),
    ]
    for name in CONTESTANTS:
        cells = "".join(f"{_cell(results.runs(column, name)):>38}" for column in COLUMNS)
        lines.append(f"{name:<18}{cells}")
    return "\n".join([*lines, "", _verdict(results, arguments)])


def _verdict(results: Results, arguments: argparse.Namespace) -> str:
    """Say whether the acceptors can keep all workers busy, even trivial ones."""
    balancer, workers = (statistics.median(results.runs(column, ZMQIO)) for column in COLUMNS[1:])
    feeds = workers / balancer
    acceptors = _acceptors(arguments)
    enough = "enough" if feeds * acceptors >= arguments.workers else "TOO FEW"
    return (
        f"{ZMQIO}: one acceptor keeps {feeds:.1f} of these workers busy ({workers:.0f} us / {balancer:.0f} us); "
        f"acceptors x that = {acceptors} x {feeds:.1f} = {acceptors * feeds:.1f} of {arguments.workers}: {enough}"
    )


def _acceptors(arguments: argparse.Namespace) -> int:
    asked = "auto" if arguments.acceptors == "auto" else int(arguments.acceptors)
    return acceptor_count(ServeOptions("app:app", workers=arguments.workers, acceptors=asked))


def _cell(runs: list[float]) -> str:
    return f"{statistics.median(runs):.1f} [{min(runs):.1f} - {max(runs):.1f}]"


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--acceptors", default="auto", metavar="N|auto", help="of `zmqio serve`")
    parser.add_argument("--connections", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=7)
    return parser.parse_args()


if __name__ == "__main__":
    main()
