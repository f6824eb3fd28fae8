"""The measured values by scenario, metric and server. Pure."""

import statistics
from collections import defaultdict
from collections.abc import Mapping

__all__ = ["Metric", "Results"]

Metric = tuple[str, str]
"""(scenario, what and unit), for example ("fan-out 64 B", "CPU us/delivery")."""


class Results:
    """Values of all runs; the median is reported."""

    def __init__(self) -> None:
        self._values: dict[Metric, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))

    def add(self, server: str, found: Mapping[Metric, float]) -> None:
        """Add the values of one run of one server."""
        for metric, value in found.items():
            self._values[metric][server].append(value)

    @property
    def metrics(self) -> list[Metric]:
        """The metrics, in the order in which they were added."""
        return list(self._values)

    def servers(self, metric: Metric) -> list[str]:
        """The servers that have a value of a metric."""
        return list(self._values[metric])

    def runs(self, metric: Metric, server: str) -> list[float]:
        """Every value."""
        return self._values[metric][server] if server in self._values.get(metric, {}) else []

    def median(self, metric: Metric, server: str) -> float | None:
        """The median of all runs, or None if there was none."""
        runs = self.runs(metric, server)
        return statistics.median(runs) if runs else None

    def ratio(self, metric: Metric, server: str, other: str) -> float | None:
        """The median over all rounds of one server's value over another's in the same round, or None.

        A disturbance that lasts longer than one run affects both.
        """
        pairs = zip(self.runs(metric, server), self.runs(metric, other), strict=False)
        ratios = [mine / its for mine, its in pairs if its]
        return statistics.median(ratios) if ratios else None
