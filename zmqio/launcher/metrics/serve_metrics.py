"""Collects the metrics of all processes of `zmqio serve`. Knows neither processes nor HTTP; the clock is given.

No counter ever decreases: the counters of processes that have ended are kept. If a process crashes, its counts
since its last report are lost; a report is sent each half second.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from zmqio.launcher.metrics.catalogue import BALANCER_METRICS, BROKER_METRICS, BROKER_PEER_METRICS
from zmqio.metrics.catalogue import Metric
from zmqio.metrics.samples import Sample
from zmqio.metrics.totals import Totals

__all__ = ["ServeMetrics"]

_BROKER = dict([*BROKER_METRICS.values(), *BROKER_PEER_METRICS.values()])


class ServeMetrics:
    """The metrics of one server.

    Args:
        workers: number of worker slots, which are numbered from 1.
        balancer_counters: returns the counters of the balancer of each acceptor.
        now: seconds on a monotonic clock.
    """

    def __init__(
        self,
        workers: int,
        balancer_counters: Callable[[], Mapping[int, Mapping[str, int]]],
        now: Callable[[], float],
    ) -> None:
        self._balancer_counters = balancer_counters
        self._now = now
        self._slots = {number: Totals() for number in range(1, workers + 1)}
        self._reported_at = dict.fromkeys(self._slots, now())
        self._ready: dict[int, set[str]] = {number: set() for number in self._slots}
        self._starts: Counter[int] = Counter()
        self._exits: Counter[int] = Counter()
        self._broker = Totals(_BROKER)
        self._broker_run = ""
        self._is_broker_up = False
        self._broker_starts = 0

    def worker_started(self, slot: int) -> None:
        """Count a started process."""
        self._starts[slot] += 1

    def worker_available(self, slot: int, tag: str, *, is_available: bool) -> None:
        """Record whether the worker with this tag serves and sends heartbeats."""
        (self._ready[slot].add if is_available else self._ready[slot].discard)(tag)

    def worker_counted(self, slot: int, tag: str, samples: Sequence[Sample]) -> None:
        """Record the report of a worker."""
        self._slots[slot].report(tag, samples)
        self._reported_at[slot] = self._now()

    def worker_exited(self, slot: int, tag: str, *, was_stopped: bool) -> None:
        """Keep the counters of a worker that has exited; count the exit unless the worker was stopped."""
        self.worker_available(slot, tag, is_available=False)
        self._slots[slot].end(tag)
        self._exits[slot] += not was_stopped

    def broker_started(self) -> None:
        """Count a start of the server's own broker."""
        self._broker_starts += 1

    def broker_counted(self, statistics: Mapping[str, Any]) -> None:
        """Record the statistics of the broker; empty if it does not respond."""
        self._is_broker_up = bool(statistics)
        if not statistics:
            return
        run = statistics["epoch"]
        if run != self._broker_run:
            self._broker.end(self._broker_run)
            self._broker_run = run
        self._broker.report(run, _broker_samples(statistics))

    def samples(self) -> Iterator[Sample]:
        """Yield the samples of this moment."""
        yield from self._own_samples()
        yield from self._balancer_samples()
        for sample in self._broker.samples():
            if self._is_broker_up or _BROKER[sample.metric].kind == "counter":
                yield sample
        for slot, totals in self._slots.items():
            worker = ("worker", str(slot))
            for metric, value, labels, suffix in totals.samples():
                yield Sample(metric, value, (worker, *labels), suffix)

    def _own_samples(self) -> Iterator[Sample]:
        now = self._now()
        for slot in self._slots:
            labels = (("worker", str(slot)),)
            yield Sample("zmqio_worker_report_age_seconds", now - self._reported_at[slot], labels)
            yield Sample("zmqio_serve_workers_ready", len(self._ready[slot]), labels)
            yield Sample("zmqio_serve_worker_starts", self._starts[slot], labels, "_total")
            yield Sample("zmqio_serve_worker_exits", self._exits[slot], labels, "_total")
        if self._broker_starts:
            yield Sample("zmqio_serve_broker_up", self._is_broker_up)
            yield Sample("zmqio_serve_broker_starts", self._broker_starts, suffix="_total")

    def _balancer_samples(self) -> Iterator[Sample]:
        for number, counters in self._balancer_counters().items():
            for name in BALANCER_METRICS:
                value = counters.get(name.removeprefix("zmqio_serve_"), 0)
                yield Sample(name, value, (("acceptor", str(number)),), "_total")


def _broker_samples(statistics: Mapping[str, Any]) -> Iterator[Sample]:
    for key, (name, metric) in BROKER_METRICS.items():
        yield Sample(name, statistics[key], suffix=_suffix(metric))
    for endpoint, counts in statistics["peers"].items():
        for key, (name, metric) in BROKER_PEER_METRICS.items():
            yield Sample(name, counts[key], (("endpoint", endpoint),), _suffix(metric))


def _suffix(metric: Metric) -> str:
    return "_total" if metric.kind == "counter" else ""
