"""Sums over sources that come and go: counters never decrease."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from zmqio.metrics.catalogue import Metric
from zmqio.metrics.samples import Sample
from zmqio.metrics.totals import Totals

METRICS = {
    "done": Metric("counter", "Done."),
    "open": Metric("gauge", "Open."),
    "ready": Metric("gauge", "Ready.", merge="min"),
    "nodes": Metric("gauge", "Nodes.", merge="max"),
}


def done(count: float) -> Sample:
    return Sample("done", count, suffix="_total")


def values(totals: Totals) -> dict[str, float]:
    return {sample.metric: sample.value for sample in totals.samples()}


def test_sources_are_merged_as_their_metric_says() -> None:
    totals = Totals(METRICS)
    totals.report("a", [done(2), Sample("open", 1), Sample("ready", 1), Sample("nodes", 3)])
    totals.report("b", [done(3), Sample("open", 4), Sample("ready", 0), Sample("nodes", 2)])
    assert values(totals) == {"done": 5, "open": 5, "ready": 0, "nodes": 3}


def test_counters_of_an_ended_source_stay_and_its_gauges_go() -> None:
    totals = Totals(METRICS)
    totals.report("a", [done(2), Sample("open", 1)])
    totals.end("a")
    totals.end("a")
    assert values(totals) == {"done": 2}
    totals.report("b", [done(1), Sample("open", 7)])
    assert values(totals) == {"done": 3, "open": 7}
    totals.forget("b")
    assert values(totals) == {"done": 2}


def test_labels_are_kept_apart_and_unknown_metrics_ignored() -> None:
    totals = Totals(METRICS)
    one, two = (("namespace", "/"),), (("namespace", "/b"),)
    totals.report("a", [Sample("open", 1, one), Sample("open", 2, two), Sample("other", 1)])
    assert totals.samples() == [Sample("open", 1, one), Sample("open", 2, two)]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["count", "crash"])), max_size=40))
def test_counters_never_decrease(steps: list[tuple[str, str]]) -> None:
    totals, counted, last = Totals(METRICS), Counter[str](), 0.0
    for total, (source, step) in enumerate(steps, start=1):
        counted[source] += 1
        totals.report(source, [done(counted[source])])
        if step == "crash":
            totals.end(source)
            del counted[source]  # its successor begins with 0
        assert values(totals)["done"] == total >= last
        last = total
