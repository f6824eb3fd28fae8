"""The metrics of `zmqio serve`: the page that lists them, and the names that the broker and the balancer use."""

import re
from pathlib import Path

import zmqio_broker.metrics as broker

from tests.support.counter_table import read_counters
from zmqio.launcher.metrics.catalogue import (
    BALANCER_METRICS,
    BROKER_METRICS,
    BROKER_PEER_METRICS,
    OWN_METRICS,
    SERVE_METRICS,
)
from zmqio.metrics.catalogue import METRICS

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "metrics.md"
ROW = re.compile(r"^\| `(zmqio_\w+)` \| (\w+) \| (.+) \| (.+) \|$", re.M)


def test_broker_has_the_names_that_it_has_alone() -> None:
    here = {name: (metric.kind, metric.help, key) for key, (name, metric) in BROKER_METRICS.items()}
    assert here == broker.METRICS
    peers = {name: (metric.kind, metric.help, key) for key, (name, metric) in BROKER_PEER_METRICS.items()}
    assert peers == broker.PEER_METRICS


def test_all_counters_of_the_balancer_are_metrics() -> None:
    names = {name.removeprefix("zmqio_serve_"): metric.help for name, metric in BALANCER_METRICS.items()}
    assert names == read_counters("balancer")


def test_page_lists_the_metrics_of_serve() -> None:
    section = PAGE.read_text().split("\n## `zmqio serve`\n")[1].split("\n## ")[0]
    on_page = {name: (kind, labels, text) for name, kind, labels, text in ROW.findall(section)}
    assert on_page == {
        name: (metric.kind, ", ".join(f"`{label}`" for label in metric.labels) or "-", metric.help)
        for name, metric in OWN_METRICS.items()
    }


def test_metrics_of_a_worker_have_its_label() -> None:
    for name, metric in METRICS.items():
        assert SERVE_METRICS[name].labels == ("worker", *metric.labels)
