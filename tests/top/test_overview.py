"""Rates, states and the line of `zmqio status`, from readings."""

import json
from typing import Any

import pytest

from zmqio.ids import NodeId
from zmqio.launcher.metrics.catalogue import SERVE_METRICS
from zmqio.top.cluster_observer import BrokerView, NodeView, Reading
from zmqio.top.overview import FAILURES, BrokerRow, NodeRow, broker_row, node_row, status_line, to_json

ID = NodeId("abcdEFGHIJKLMNO")


def view(latest: dict[str, float], previous: dict[str, float] | None = None, *, seconds: float = 2.0) -> NodeView:
    before = Reading(10.0, previous or {})
    return NodeView("host", 7, Reading(10.0 + seconds, latest), before, 2)


def row(**more: Any) -> NodeRow:
    return node_row(ID, view({"zmqio_ready": 1, "zmqio_sessions": 3, **more}), 12.5)


def broker(problem: str = "") -> BrokerRow:
    return broker_row(BrokerView("tcp://b:5555", problem))


def test_rates_are_per_second_since_the_reading_before() -> None:
    name = "zmqio_server_events_received_total"
    found = node_row(ID, view({name: 30}, {name: 10}), 12.5)
    assert (found.events_in, found.age_s) == (10.0, 0.5)
    assert node_row(ID, view({name: 30}, {name: 40}), 12.5).events_in == 15.0  # the node's counters began again
    assert node_row(ID, view({name: 30}, {}, seconds=0), 12.5).events_in == 0


def test_lag_is_the_mean_over_the_interval() -> None:
    checks, lag = "zmqio_server_loop_lag_checks_total", "zmqio_server_loop_lag_seconds_total"
    assert node_row(ID, view({checks: 8, lag: 0.9}, {checks: 4, lag: 0.1}), 12.5).lag_ms == 200
    assert row().lag_ms == 0


def test_failures_are_a_sum_of_counters_that_exist() -> None:
    assert row(**dict.fromkeys(FAILURES, 2)).failures == 2 * len(FAILURES)
    assert {name.removesuffix("_total") for name in FAILURES} <= SERVE_METRICS.keys()


def test_broker_without_an_answer_has_no_numbers() -> None:
    assert broker("refused") == BrokerRow("tcp://b:5555", "refused", 0.0, 0, 0.0, 0.0, 0.0, 0.0)
    view = BrokerView("tcp://b:5555", "", 3, Reading(2.0, {"frames_in": 30}), Reading(1.0, {"frames_in": 10}))
    assert broker_row(view).messages_in == 20


def test_json_holds_every_field() -> None:
    found = json.loads(json.dumps(to_json([row()], [broker()])))
    assert found["nodes"][0]["node"] == ID
    assert found["nodes"][0]["sessions"] == 3
    assert found["brokers"][0]["address"] == "tcp://b:5555"


@pytest.mark.parametrize(
    ("nodes", "brokers", "expected", "required", "line"),
    [
        ([row(), row()], [broker()], 2, 1, "ready: 2 nodes, 1 broker, 6 sessions"),
        ([], [broker()], 0, 0, "ready: 0 nodes, 1 broker, 0 sessions"),
        ([row()], [broker("refused")], 1, 1, "not ready: broker tcp://b:5555: refused"),
        ([row(zmqio_ready=0)], [broker()], 1, 0, f"not ready: node {ID} (host:7) is not ready"),
        ([row()], [broker()], 3, 1, "not ready: 2 of 3 nodes do not answer"),
        ([row()], [broker()], 1, 2, "not ready: 1 node ready, 2 required"),
    ],
)
def test_status_is_one_line(
    nodes: list[NodeRow], brokers: list[BrokerRow], expected: int, required: int, line: str
) -> None:
    is_ready, found = status_line(nodes, brokers, expected=expected, required=required)
    assert (is_ready, found) == (line.startswith("ready"), line)
