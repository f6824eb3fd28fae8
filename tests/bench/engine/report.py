"""The results as plain text: a table for each metric, then the targets."""

import os
import platform
from collections.abc import Iterator
from pathlib import Path

from tests.bench.engine.noise import Noise
from tests.bench.engine.results import Metric, Results
from tests.bench.engine.servers import FLOOR, NODE, SOCKETIO, versions
from tests.bench.engine.targets import TARGETS

__all__ = ["describe_machine", "render"]

PEERS = (FLOOR, NODE, SOCKETIO)


def describe_machine() -> str:
    """Processor, cores, kernel."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), "unknown CPU")
    return f"{model}, {os.cpu_count()} cores, {platform.system()} {platform.release()}"


def render(results: Results, noise: Noise, command: str) -> str:
    """Everything in one text."""
    head = [
        f"machine:  {describe_machine()}",
        f"versions: {versions()}",
        f"command:  {command}",
        f"noise:    {noise}",
        "",
        "Medians of alternating runs, [lowest - highest]; ratios: medians of the rounds' ratios.",
    ]
    return "\n".join([*head, *_tables(results), "", *_targets(results)])


def _tables(results: Results) -> Iterator[str]:
    scenario = None
    for metric in results.metrics:
        if metric[0] != scenario:
            scenario = metric[0]
            columns = "".join(f"{'x ' + peer:>18}" for peer in PEERS)
            yield f"\n{scenario:<67}{'runs':>5}{columns}"
        for server in results.servers(metric):
            yield _row(results, metric, server)


def _row(results: Results, metric: Metric, server: str) -> str:
    runs = results.runs(metric, server)
    spread = f"[{_number(min(runs))} - {_number(max(runs))}]" if len(runs) > 1 else ""
    ratios = [results.ratio(metric, server, peer) for peer in PEERS]
    cells = "".join(f"{'' if ratio is None else f'{ratio:.2f}':>18}" for ratio in ratios)
    median = _number(results.median(metric, server) or 0.0)
    return f"  {metric[1]:<22.22}{server:<16}{median:>9} {spread:<20}{len(runs):>3}{cells}"


def _targets(results: Results) -> Iterator[str]:
    yield f"{'target':<58}{'at most':>10}{'found':>10}"
    for target in TARGETS:
        found = target.figure(results)
        if found is not None:
            verdict = "met" if found <= target.most else "NOT MET"
            yield f"{target.text:<58}{target.most:>10g}{found:>10.2f}  {verdict}"


def _number(value: float) -> str:
    if value >= 1000:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 100 else f"{value:.2f}"
