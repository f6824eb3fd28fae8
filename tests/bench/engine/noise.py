"""The share of the server's core that other processes took during a measurement."""

import os
import statistics
import time
from pathlib import Path

from tests.bench.engine.process import SERVER_CORE, ServerProcess

__all__ = ["Noise"]

TICK_S = 1 / os.sysconf("SC_CLK_TCK")
# Source: proc(5), /proc/stat: user nice system idle iowait irq softirq steal
IDLE_COLUMNS = (3, 4)
STEAL_COLUMN = 7


class Noise:
    """Collects, for each run, the share of the server's core that others took."""

    def __init__(self) -> None:
        self._shares: list[float] = []
        self._stolen: list[float] = []

    def __str__(self) -> str:
        if not self._shares:
            return "nothing measured"
        median, worst = statistics.median(self._shares), max(self._shares)
        return (
            f"others took {median:.0%} of the server's core (median of runs; worst {worst:.0%}), "
            f"the hypervisor {statistics.median(self._stolen):.1%} (worst {max(self._stolen):.1%})"
        )

    def begin(self, server: ServerProcess) -> tuple[float, float, float, float]:
        """The state before a run."""
        return time.monotonic(), *_busy_and_stolen_s(), server.cpu_s()

    def end(self, server: ServerProcess, before: tuple[float, float, float, float]) -> None:
        """Record one run."""
        wall, busy, stolen, own = (b - a for a, b in zip(before, self.begin(server), strict=True))
        if wall > 0:
            self._shares.append(max(busy - own, 0.0) / wall)
            self._stolen.append(stolen / wall)


def _busy_and_stolen_s() -> tuple[float, float]:
    line = next(x for x in Path("/proc/stat").read_text().splitlines() if x.startswith(f"cpu{SERVER_CORE} "))
    ticks = [int(column) for column in line.split()[1:9]]
    stolen = ticks[STEAL_COLUMN]
    return (sum(ticks) - sum(ticks[i] for i in IDLE_COLUMNS) - stolen) * TICK_S, stolen * TICK_S
