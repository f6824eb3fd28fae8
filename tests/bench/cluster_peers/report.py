"""The results as plain text: a table for each metric, then the targets."""

from collections.abc import Iterator

from tests.bench.cluster_peers.noise import Noise
from tests.bench.cluster_peers.peers import NODE, SOCKETIO, versions
from tests.bench.cluster_peers.targets import TARGETS
from tests.bench.engine.report import describe_machine
from tests.bench.engine.results import Metric, Results

__all__ = ["render"]

OTHERS = (SOCKETIO, NODE)


def render(results: Results, noise: Noise, command: str) -> str:
    """Everything in one text."""
    head = [
        f"machine:  {describe_machine()}",
        f"versions: {versions()}",
        f"command:  {command}",
        f"noise:    {noise}",
        "",
        "Medians of alternating runs, [lowest - highest]; ratios: medians of the rounds' ratios.",
        "CPU: user and system of all threads. Uninvolved: nodes that neither emit nor have a member, less what",
        "they use when idle. Latency: CLOCK_MONOTONIC at the emit on node A, and after recv() at a client of B.",
    ]
    return "\n".join([*head, *_tables(results), "", *_targets(results)])


def _tables(results: Results) -> Iterator[str]:
    scenario = None
    for metric in results.metrics:
        if metric[0] != scenario:
            scenario = metric[0]
            columns = "".join(f"{'x ' + other:>24}" for other in OTHERS)
            yield f"\n{scenario:<82}{'runs':>5}{columns}"
        for server in results.servers(metric):
            yield _row(results, metric, server)


def _row(results: Results, metric: Metric, server: str) -> str:
    runs = results.runs(metric, server)
    spread = f"[{_number(min(runs))} - {_number(max(runs))}]" if len(runs) > 1 else ""
    ratios = [results.ratio(metric, server, other) for other in OTHERS]
    cells = "".join(f"{'' if ratio is None else f'{ratio:.3f}':>24}" for ratio in ratios)
    median = _number(results.median(metric, server) or 0.0)
    return f"  {metric[1]:<27.27}{server:<23}{median:>9} {spread:<20}{len(runs):>5}{cells}"


def _targets(results: Results) -> Iterator[str]:
    yield f"{'target':<82}{'at most':>10}{'found':>10}"
    for target in TARGETS:
        found = target.figure(results)
        if found is not None:
            verdict = "met" if found <= target.most else "NOT MET"
            yield f"{target.text:<82}{target.most:>10g}{found:>10.3f}  {verdict}"


def _number(value: float) -> str:
    if abs(value) >= 1000:
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 100 else f"{value:.2f}"
