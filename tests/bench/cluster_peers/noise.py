"""The share of the machine's CPU that other processes took during a measurement."""

import os
import statistics
import time
from pathlib import Path

from tests.bench.cluster_peers.cluster import Cluster

__all__ = ["Noise"]

TICK_S = 1 / os.sysconf("SC_CLK_TCK")
# Source: proc(5), /proc/stat: user nice system idle iowait irq softirq steal
IDLE_COLUMNS = (3, 4)
STEAL_COLUMN = 7


class Noise:
    """Collects, for each run, the share of all cores that neither this contestant nor this process used."""

    def __init__(self) -> None:
        self._shares: list[float] = []

    def __str__(self) -> str:
        if not self._shares:
            return "nothing measured"
        return (
            f"others took {statistics.median(self._shares):.0%} of all cores "
            f"(median of runs; lowest {min(self._shares):.0%}, worst {max(self._shares):.0%})"
        )

    def begin(self, cluster: Cluster) -> tuple[float, float, float]:
        """The state before a run."""
        return time.monotonic(), _busy_s(), cluster.cpu().total + time.process_time()

    def end(self, cluster: Cluster, before: tuple[float, float, float]) -> None:
        """Record one run."""
        wall, busy, own = (b - a for a, b in zip(before, self.begin(cluster), strict=True))
        self._shares.append(max(busy - own, 0.0) / (wall * (os.cpu_count() or 1)))


def _busy_s() -> float:
    """Seconds that the cores were busy, or taken by the hypervisor."""
    ticks = [int(column) for column in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    return (sum(ticks) - sum(ticks[i] for i in IDLE_COLUMNS)) * TICK_S
