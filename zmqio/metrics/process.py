"""The metrics of this process: of all servers that run in it, or have run. Knows nothing of servers.

`zmqio serve` reads them in its workers, which know only that they serve some ASGI app.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Protocol
from weakref import WeakSet

from zmqio.metrics.samples import Sample, counter_samples
from zmqio.metrics.totals import Totals

__all__ = ["HTTP_COUNTERS", "PROCESS_METRICS", "ProcessMetrics", "SampleSource", "http_samples"]

HTTP_COUNTERS: Counter[str] = Counter()
"""Counts the requests that the HTTP protocol of this process has rejected before an application saw them."""


def http_samples() -> Iterable[Sample]:
    """Return the samples of `HTTP_COUNTERS`. All servers of a process share them."""
    return counter_samples({"http": HTTP_COUNTERS})


class SampleSource(Protocol):
    """A server, as far as its metrics are needed."""

    def samples(self) -> Iterable[Sample]:
        """Return the samples of this moment."""


class ProcessMetrics:
    """The sum of all sources of a process. Its counters never decrease."""

    def __init__(self) -> None:
        self._sources: WeakSet[SampleSource] = WeakSet()
        self._totals = Totals()

    def add(self, source: SampleSource) -> None:
        """Include a source from now on, until it is removed or nothing else refers to it."""
        self._sources.add(source)

    def remove(self, source: SampleSource) -> None:
        """Keep the counters of a source that ends. Does nothing for one that was not added."""
        if source in self._sources:
            self._sources.discard(source)
            self._totals.report(id(source), source.samples())
            self._totals.end(id(source))

    def samples(self) -> list[Sample]:
        """Return the samples of this moment."""
        sources = list(self._sources)
        for source in sources:
            self._totals.report(id(source), source.samples())
        found = self._totals.samples()
        for source in sources:
            self._totals.forget(id(source))
        return [*found, *http_samples()]


PROCESS_METRICS = ProcessMetrics()
