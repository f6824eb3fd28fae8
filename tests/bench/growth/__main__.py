"""How the cost grows as the work grows: clients, payloads, nodes, rooms, messages per second.

`python -m tests.bench.growth [--only clients,rooms,...] [--servers zmqio,node] [--peers NAMES] [--quick]
[--sizes 2000,6000] [--svg FOLDER]`; with `--quick` about 9 minutes for zmqio alone. Prints a table in Markdown for
each dimension and server; `--svg` also draws each figure.
"""

import argparse
import resource
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from tests.bench.cluster_peers.peers import PEERS
from tests.bench.engine.command import list_of
from tests.bench.engine.load import LoadError
from tests.bench.engine.report import describe_machine
from tests.bench.engine.servers import SERVERS, ZMQIO
from tests.bench.growth import plots
from tests.bench.growth.steps import FULL, OF_CLUSTERS, OF_SERVERS, QUICK, Row
from tests.bench.growth.tables import render


def main() -> int:
    """Measure the requested dimensions; return 1 if a server failed."""
    arguments = _parse()
    plan = QUICK if arguments.quick else FULL
    if arguments.sizes:
        plan = replace(plan, **dict.fromkeys(arguments.only, arguments.sizes))
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    print(f"machine: {describe_machine()}\ncommand: python -m tests.bench.growth {' '.join(sys.argv[1:])}\n")
    failures = 0
    for dimension in arguments.only:
        results: dict[str, list[Row]] = {}
        if dimension in OF_SERVERS:
            kinds = [kind for kind in SERVERS if kind.name in arguments.servers]
            runs = [(kind.name, OF_SERVERS[dimension](kind, plan)) for kind in kinds]
        else:
            peers = [peer for peer in PEERS if peer.name in arguments.peers]
            runs = [(peer.name, OF_CLUSTERS[dimension](peer, plan)) for peer in peers]
        for name, steps in runs:
            rows = results[name] = []
            failures += not _report(f"{dimension}: {name}", steps, rows)
        measured = {name: rows for name, rows in results.items() if rows}
        if arguments.svg and measured:
            plots.write(arguments.svg, dimension, measured)
    return 1 if failures else 0


def _report(title: str, steps: Iterator[Row], rows: list[Row]) -> bool:
    """Print the table of one server, and append to `rows`; what was measured until it failed is printed, too."""
    try:
        for row in steps:
            rows.append(row)
            print(f"{title}: {row}", file=sys.stderr, flush=True)
    except (LoadError, OSError, RuntimeError) as error:
        print(f"FAILED {title}: {error}", file=sys.stderr, flush=True)
        return False
    finally:
        if rows:
            print(f"{render(title, rows)}\n", flush=True)
    return True


def _sizes(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split(",")))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.growth", description=__doc__)
    dimensions = [*OF_SERVERS, *OF_CLUSTERS]
    names = [kind.name for kind in SERVERS]
    peers = [peer.name for peer in PEERS]
    parser.add_argument("--only", type=list_of(dimensions), default=dimensions, metavar="DIMENSIONS")
    parser.add_argument("--servers", type=list_of(names), default=[ZMQIO], metavar="SERVERS")
    parser.add_argument("--peers", type=list_of(peers), default=peers[:1], metavar="NAMES")
    parser.add_argument("--sizes", type=_sizes, metavar="SIZES", help="of each dimension, in place of the plan's")
    parser.add_argument("--quick", action="store_true", help="fewer and smaller sizes")
    parser.add_argument("--svg", type=Path, metavar="FOLDER", help="draw the figures there")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
