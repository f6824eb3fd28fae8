"""The results as plain text: a table for each metric, then the targets."""

import os
import platform
from pathlib import Path

from tests.bench.engine.noise import Noise
from tests.bench.engine.results import Results
from tests.bench.engine.servers import FLOOR, NODE, SOCKETIO, versions
from tests.bench.engine.tables import MEDIANS, Layout
from tests.bench.engine.targets import TARGETS

__all__ = ["describe_machine", "render"]

LAYOUT = Layout((FLOOR, NODE, SOCKETIO), metric=22, server=16, ratio=18, digits=2)


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
        MEDIANS,
    ]
    return "\n".join([*head, *LAYOUT.lines(results, TARGETS)])
