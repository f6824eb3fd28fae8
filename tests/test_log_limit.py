"""An event is logged at once, and then at most so many times per interval."""

import structlog
from structlog.testing import capture_logs

from zmqio.log_limit import LimitedLog, LogLimit


def test_first_occurrence_is_logged_at_once():
    assert LogLimit(60).record(1000.0) == 1


def test_nothing_more_is_logged_within_the_interval():
    limit = LogLimit(60)
    limit.record(0.0)
    assert [limit.record(now) for now in (0.0, 30.0, 59.9)] == [0, 0, 0]


def test_count_after_the_interval_includes_unlogged_occurrences():
    limit = LogLimit(60)
    for now in (0.0, 1.0, 2.0):
        limit.record(now)
    assert limit.record(60.0) == 3
    assert limit.record(121.0) == 1


def test_occurrences_of_a_burst_are_logged_one_by_one() -> None:
    limit = LogLimit(10.0, burst=3)
    assert [limit.record(0.0) for _ in range(5)] == [1, 1, 1, 0, 0]
    assert limit.record(10.0) == 3


def test_limited_log_has_a_separate_limit_for_each_event() -> None:
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


def test_each_subject_has_a_limit_of_its_own_and_all_together_have_another() -> None:
    now = [0.0]
    limited = LimitedLog(structlog.get_logger(), interval_s=10, burst=2, clock=lambda: now[0])
    with capture_logs() as logs:
        for _ in range(3):
            for number in range(10):
                limited.error("handler_failed", subject=f"event {number}", number=number)
        now[0] = 10.0
        limited.error("handler_failed", subject="event 0", number=0)
        limited.error("handler_failed", subject="event 9", number=9)
    assert [entry["number"] for entry in logs] == [*range(10), 0, 9]
    assert [entry["times"] for entry in logs] == [1] * 10 + [3, 3]


def test_subjects_that_clients_invent_share_a_limit() -> None:
    limited = LimitedLog(structlog.get_logger(), burst=1, clock=lambda: 0.0)
    with capture_logs() as logs:
        for number in range(10_000):
            limited.debug("event_rejected", subject=f"{number}")
        limited.debug("event_rejected", subject="x" * 10_000)
    assert len(logs) == 5
