"""Samples: the values of metrics at one moment, as plain data that can be sent to another process. Pure."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple, TypeAlias

from zmqio.metrics.counters import COUNTERS, MICROSECONDS, counter_name

__all__ = ["Labels", "Sample", "counter_samples"]

Labels: TypeAlias = tuple[tuple[str, str], ...]


class Sample(NamedTuple):
    """One value.

    Attributes:
        metric: name of the metric, as in `METRICS`.
        value: the value.
        labels: (name, value) of each label.
        suffix: the end of the exposed name: `_total` for a counter, `_sum`, `_count` or `_bucket`.
    """

    metric: str
    value: float
    labels: Labels = ()
    suffix: str = ""


def counter_samples(counters: Mapping[str, Mapping[str, int]]) -> Iterable[Sample]:
    """Return a sample for every counter of the parts that are given; 0 for one that has not counted yet.

    Args:
        counters: part -> counter -> value, as in `Health.details["counters"]`.
    """
    for part, values in counters.items():
        for counter in COUNTERS.get(part, ()):
            value = values.get(counter, 0)
            scale = 1e-6 if counter.endswith(MICROSECONDS) else 1
            yield Sample(counter_name(part, counter), value * scale, suffix="_total")
