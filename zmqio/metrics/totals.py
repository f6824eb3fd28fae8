"""The metrics of one place that several sources fill, at once or one after the other. Pure.

A worker's slot is such a place: processes end in it and others begin. Counters of sources that have ended are
kept, so that the counters of the place never decrease. The other metrics are those of the sources that exist.
"""

from collections.abc import Callable, Hashable, Iterable, Mapping

from zmqio.metrics.catalogue import METRICS, Metric
from zmqio.metrics.samples import Labels, Sample

__all__ = ["Totals"]

_Key = tuple[str, Labels, str]
_MERGES: Mapping[str, Callable[[float, float], float]] = {
    "sum": lambda one, other: one + other,
    "min": min,
    "max": max,
}


class Totals:
    """Adds the samples of several sources up.

    Args:
        metrics: the metrics by name; samples of other metrics are ignored.
    """

    def __init__(self, metrics: Mapping[str, Metric] = METRICS) -> None:
        self._metrics = metrics
        self._ended: dict[_Key, float] = {}
        self._current: dict[Hashable, tuple[Sample, ...]] = {}

    def report(self, source: Hashable, samples: Iterable[Sample]) -> None:
        """Replace the samples of a source."""
        self._current[source] = tuple(sample for sample in samples if sample.metric in self._metrics)

    def end(self, source: Hashable) -> None:
        """Keep the counters of a source that has ended, and forget its other samples."""
        for sample in self._current.pop(source, ()):
            if self._metrics[sample.metric].kind != "gauge":
                key = (sample.metric, sample.labels, sample.suffix)
                self._ended[key] = self._ended.get(key, 0) + sample.value

    def forget(self, source: Hashable) -> None:
        """Forget a source with its counters."""
        self._current.pop(source, None)

    def samples(self) -> list[Sample]:
        """Return one sample of each metric and set of labels."""
        merged = dict(self._ended)
        for samples in self._current.values():
            for metric, value, labels, suffix in samples:
                key = (metric, labels, suffix)
                merge = _MERGES[self._metrics[metric].merge]
                merged[key] = merge(merged[key], value) if key in merged else value
        return [Sample(metric, value, labels, suffix) for (metric, labels, suffix), value in merged.items()]
