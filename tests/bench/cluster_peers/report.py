"""The results as plain text: a table for each metric, then the targets."""

from tests.bench.cluster_peers.noise import Noise
from tests.bench.cluster_peers.peers import NODE, SOCKETIO, versions
from tests.bench.cluster_peers.targets import TARGETS
from tests.bench.engine.report import describe_machine
from tests.bench.engine.results import Results
from tests.bench.engine.tables import MEDIANS, Layout

__all__ = ["render"]

LAYOUT = Layout((SOCKETIO, NODE), metric=27, server=23, ratio=24, digits=3)


def render(results: Results, noise: Noise, command: str) -> str:
    """Everything in one text."""
    head = [
        f"machine:  {describe_machine()}",
        f"versions: {versions()}",
        f"command:  {command}",
        f"noise:    {noise}",
        "",
        MEDIANS,
        "CPU: user and system of all threads. Uninvolved: nodes that neither emit nor have a member, less what",
        "they use when idle. Latency: CLOCK_MONOTONIC at the emit on node A, and after recv() at a client of B.",
    ]
    return "\n".join([*head, *LAYOUT.lines(results, TARGETS)])
