"""Samples of counters."""

from zmqio.metrics.counters import COUNTERS
from zmqio.metrics.samples import Sample, counter_samples


def test_counter_that_has_not_counted_is_zero() -> None:
    samples = list(counter_samples({"relay": {"polls_served": 3}}))
    assert len(samples) == len(COUNTERS["relay"])
    assert Sample("zmqio_relay_polls_served", 3, suffix="_total") in samples
    assert Sample("zmqio_relay_polls_forwarded", 0, suffix="_total") in samples


def test_unknown_parts_and_counters_are_left_out() -> None:
    assert list(counter_samples({"other": {"counted": 1}})) == []
    assert "other" not in {sample.metric for sample in counter_samples({"relay": {"other": 1}})}
