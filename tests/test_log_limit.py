"""Tests of `zmqio.log_limit`."""

import structlog
from structlog.testing import capture_logs

from zmqio.log_limit import LimitedLog, LogLimit


def test_first_occurrence_is_reported_at_once():
    assert LogLimit(60).happened(1000.0) == 1


def test_within_the_interval_nothing_is_reported():
    limit = LogLimit(60)
    limit.happened(0.0)
    assert [limit.happened(now) for now in (0.0, 30.0, 59.9)] == [0, 0, 0]


def test_after_the_interval_the_count_includes_what_was_not_reported():
    limit = LogLimit(60)
    for now in (0.0, 1.0, 2.0):
        limit.happened(now)
    assert limit.happened(60.0) == 3
    assert limit.happened(121.0) == 1


def test_burst_is_said_line_by_line_and_then_no_more_in_the_interval() -> None:
    limit = LogLimit(10.0, burst=3)
    assert [limit.happened(0.0) for _ in range(5)] == [1, 1, 1, 0, 0]
    assert limit.happened(10.0) == 3


def test_limited_log_counts_each_event_by_itself() -> None:
    now = [0.0]
    limited = LimitedLog(structlog.get_logger(), interval_s=10, burst=2, clock=lambda: now[0])
    with capture_logs() as logs:
        for _ in range(5):
            limited.info("a", sid="x")
        limited.warning("b")
        now[0] = 10.0
        limited.info("a")
    assert [(entry["event"], entry["times"], entry["log_level"]) for entry in logs] == [
        ("a", 1, "info"),
        ("a", 1, "info"),
        ("b", 1, "warning"),
        ("a", 4, "info"),
    ]
