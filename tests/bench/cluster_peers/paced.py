"""20 broadcasts a second to 500 clients of another node: zmqio beside Node with redis-adapter, in turns.

    python -m tests.bench.cluster_peers.paced [--rounds 5]

The servers and the load generator are those of `tests.bench.engine`. The client that sends the commands is on node
A, all others are on node B. Latency is measured from the due time of a command to each client's frame.
"""

import argparse
import os
import statistics
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from tests.bench.cluster_peers.engine_nodes import CONCURRENCY, running
from tests.bench.cluster_peers.peers import NODE, ZMQIO
from tests.bench.engine.command import turned
from tests.bench.engine.load import Load
from tests.bench.engine.report import describe_machine

CLIENTS, BROADCASTS, INTERVAL_US, SIZE = 500, 40, 50_000, 64


@contextmanager
def crowded(name: str) -> Iterator[Load]:
    """Two nodes of a contestant at a hub of their own, and the load, connected and warm."""
    with running(name) as pair:
        pair.load.run(f"connect websocket {CLIENTS} {CONCURRENCY}")
        pair.load.run(f"fanout 50 {SIZE} 1 1")
        yield pair.load


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    found: dict[str, dict[str, list[float]]] = {name: {"p50_us": [], "p99_us": []} for name in (ZMQIO, NODE)}
    with ExitStack() as stack:
        loads = {name: stack.enter_context(crowded(name)) for name in found}
        for round_ in range(rounds):
            for name in turned(list(loads), round_):
                result = loads[name].run(f"paced {BROADCASTS} {SIZE} {INTERVAL_US}")
                for quantile, values in found[name].items():
                    values.append(result[quantile])
    print(f"machine:  {describe_machine()}\nload:     {os.getloadavg()[0]:.1f}")
    print(f"command:  python -m tests.bench.cluster_peers.paced --rounds {rounds}\n")
    for name, quantiles in found.items():
        print(f"{name:<20}" + "".join(_cell(*quantile) for quantile in quantiles.items()))
    for quantile in ("p50_us", "p99_us"):
        pairs = zip(found[ZMQIO][quantile], found[NODE][quantile], strict=True)
        ratio = statistics.median(a / b for a, b in pairs)
        print(f"{quantile}: zmqio / Node, median of the rounds' ratios: {ratio:.2f}")


def _cell(name: str, values: list[float]) -> str:
    return f"  {name} {statistics.median(values):7.0f} [{min(values):.0f} - {max(values):.0f}]"


if __name__ == "__main__":
    main()
