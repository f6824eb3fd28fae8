"""Samples in the text formats of Prometheus, written by prometheus-client (the extra `zmqio[prometheus]`).

The library only formats values that zmqio has counted. Its own counters are not used: each takes a lock and a
call for every increment, where `counters[name] += 1` takes 40 ns, and the values would exist twice.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib.util import find_spec
from typing import Any

from zmqio.exceptions import ConfigError
from zmqio.metrics.catalogue import METRICS, Metric
from zmqio.metrics.samples import Sample

__all__ = ["SampleCollector", "check_installed", "expose", "expose_in_steps", "has_metrics"]

SAMPLES_PER_STEP = 50
"""Samples that are formatted in one turn of the event loop: about a quarter of a millisecond."""
MISSING = "metrics need the package prometheus-client; install it with `pip install zmqio[prometheus]`"


class SampleCollector:
    """A collector of prometheus-client: registers in its `CollectorRegistry`.

    Args:
        read: returns the samples of this moment.
        metrics: the metrics by name; a sample of another metric raises `KeyError`.
    """

    def __init__(self, read: Callable[[], Iterable[Sample]], metrics: Mapping[str, Metric] = METRICS) -> None:
        self._read = read
        self._metrics = metrics

    def collect(self) -> Iterator[Any]:
        """Yield each metric that has samples, in the order of their first samples."""
        families: dict[str, Any] = {}
        for sample in self._read():
            self._add(sample, families)
        yield from families.values()

    async def collect_in_steps(self) -> list[Any]:
        """Return what `collect` yields, with pauses in which the event loop does other work."""
        families: dict[str, Any] = {}
        for number, sample in enumerate(self._read(), start=1):
            self._add(sample, families)
            if number % SAMPLES_PER_STEP == 0:
                await asyncio.sleep(0)
        return list(families.values())

    def _add(self, sample: Sample, families: dict[str, Any]) -> None:
        from prometheus_client import Metric as MetricFamily

        name, metric = sample.metric, self._metrics[sample.metric]
        if name not in families:
            families[name] = MetricFamily(name, metric.help, metric.kind)
        families[name].add_sample(name + sample.suffix, dict(sample.labels), sample.value)


def has_metrics() -> bool:
    """Whether prometheus-client is installed."""
    return find_spec("prometheus_client") is not None


def check_installed() -> None:
    """Check that prometheus-client is installed.

    Raises:
        ConfigError: it is not.
    """
    try:
        import prometheus_client  # noqa: F401
    except ImportError as error:
        raise ConfigError(MISSING) from error


def expose(collector: SampleCollector, accept: str = "") -> tuple[str, bytes]:
    """Return the content type and the text of all metrics.

    Args:
        collector: returns the metrics.
        accept: the Accept header of the request; by default, the text format 0.0.4 of Prometheus is chosen.

    Raises:
        ConfigError: prometheus-client is not installed.
    """
    check_installed()
    from prometheus_client.exposition import choose_encoder

    encode, content_type = choose_encoder(accept)
    source: Any = collector  # anything with `collect`
    return content_type, encode(source)


async def expose_in_steps(collector: SampleCollector, accept: str = "") -> tuple[str, bytes]:
    """Return what `expose` returns, without holding the event loop for long; see `SAMPLES_PER_STEP`."""
    check_installed()
    from prometheus_client.exposition import choose_encoder

    encode, content_type = choose_encoder(accept)
    end = encode(_Families())  # OpenMetrics ends with a line of its own
    parts: list[bytes] = []
    for step in _steps(await collector.collect_in_steps()):
        parts.append(encode(step).removesuffix(end))
        await asyncio.sleep(0)
    return content_type, b"".join([*parts, end])


class _Families(list[Any]):
    """Metrics as a collector."""

    def collect(self) -> Iterable[Any]:
        return self


def _steps(families: Iterable[Any]) -> Iterator[_Families]:
    """Divide metrics into groups of about `SAMPLES_PER_STEP` samples."""
    group, size = _Families(), 0
    for family in families:
        group.append(family)
        size += len(family.samples)
        if size >= SAMPLES_PER_STEP:
            yield group
            group, size = _Families(), 0
    yield group
