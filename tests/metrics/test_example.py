"""The queries of examples/prometheus name metrics that exist, and group by labels that they have."""

import json
import re
from pathlib import Path

import pytest
import yaml
from zmqio_broker.metrics import METRICS as BROKER_METRICS
from zmqio_broker.metrics import PEER_METRICS

from tests.support.prometheus_server import check_rules
from tests.support.tools import require
from zmqio.launcher.metrics.catalogue import SERVE_METRICS

FOLDER = Path(__file__).parents[2] / "examples" / "prometheus"
BROKER = {name: kind for name, (kind, *_) in (BROKER_METRICS | PEER_METRICS).items()}
KINDS = {name: metric.kind for name, metric in SERVE_METRICS.items()} | BROKER
EXPOSED = {f"{name}_total" if kind == "counter" else name for name, kind in KINDS.items()}
LABELS = {"instance", "endpoint", *(label for metric in SERVE_METRICS.values() for label in metric.labels)}


def queries() -> list[tuple[str, str]]:
    """(query, texts around it)."""
    panels = json.loads((FOLDER / "dashboard.json").read_text())["panels"]
    rules = yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"][0]["rules"]
    return [
        *((target["expr"], target["legendFormat"]) for panel in panels for target in panel["targets"]),
        *((rule["expr"], rule["annotations"]["summary"]) for rule in rules),
    ]


@pytest.mark.parametrize(("query", "text"), queries())
def test_query_names_what_is_exposed(query: str, text: str) -> None:
    assert set(re.findall(r"\bzmqio_\w+", query)) <= EXPOSED
    grouped = re.findall(r"by \((\w+)\)", query)
    assert {*grouped, *re.findall(r"\{\{\s*(?:\$labels\.)?([a-z]+)\s*\}\}", text)} <= LABELS


@pytest.mark.parametrize(("query", "text"), queries())
def test_counters_are_read_as_rates(query: str, text: str) -> None:
    for name in re.findall(r"\bzmqio_\w+_total", query):
        assert re.search(rf"(rate|increase)\({name}\[", query), name


def test_page_of_operations_explains_every_alert_and_names_what_exists() -> None:
    page = (FOLDER.parents[1] / "docs" / "operations.md").read_text()
    rules = yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"][0]["rules"]
    assert re.findall(r"^\| `(Zmqio\w+)` \|", page, re.M) == [rule["alert"] for rule in rules]
    assert set(re.findall(r"\bzmqio_\w+", page)) <= EXPOSED


def test_rules_are_accepted_by_promtool() -> None:
    require("promtool")
    assert "SUCCESS" in check_rules(FOLDER / "alerts.yml")


def test_rules_are_the_ones_that_prometheus_loads() -> None:
    settings = yaml.safe_load((FOLDER / "prometheus.yml").read_text())
    assert all((FOLDER / name).exists() for name in settings["rule_files"])
