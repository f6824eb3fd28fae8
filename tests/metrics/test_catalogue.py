"""The metrics: names that Prometheus accepts, and the page that lists them."""

import re
from pathlib import Path

from zmqio.metrics.catalogue import METRICS
from zmqio.metrics.counters import COUNTERS

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "metrics.md"
ROW = re.compile(r"^\| `(zmqio_\w+)` \| (\w+) \| (.+) \| (.+) \|$", re.M)
ELSEWHERE = ("zmqio_broker_", "zmqio_serve_", "zmqio_worker_")


def test_page_lists_every_metric_that_is_no_counter_of_the_events_page() -> None:
    on_page = {name: (kind, labels, text) for name, kind, labels, text in ROW.findall(PAGE.read_text())}
    counted = sum(map(len, COUNTERS.values()))
    in_code = {
        name: (metric.kind, ", ".join(f"`{label}`" for label in metric.labels) or "-", metric.help)
        for name, metric in list(METRICS.items())[: len(METRICS) - counted]
    }
    assert {name: row for name, row in on_page.items() if not name.startswith(ELSEWHERE)} == in_code


def test_names_and_labels_are_valid_and_counters_have_no_suffix_yet() -> None:
    for name, metric in METRICS.items():
        assert re.fullmatch(r"zmqio(_[a-z0-9]+)+", name), name
        assert not name.endswith("_total"), name
        assert all(re.fullmatch(r"[a-z]+", label) for label in metric.labels), name
        assert metric.help.endswith("."), name
