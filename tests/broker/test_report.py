from typing import Any

from structlog.testing import capture_logs
from zmqio_broker.report import REPORT_INTERVAL_S, Reporter


def statistics(*, rejected: int = 0, refused: int = 0, left: int = 0, frames_in: int = 0) -> dict[str, Any]:
    peers = {"connected": 0, "rejected": rejected, "not_accepted": 0, "left": left}
    moved = dict.fromkeys(("bytes_in", "frames_out", "bytes_out", "ingest_frames", "subscription_changes"), 0)
    return {
        **moved,
        "frames_in": frames_in,
        "uptime_s": 1.0,
        "control_refused": refused,
        "control_last_refusal": "why",
        "peers": {"ingest": peers},
    }


def lines(reporter: Reporter, *ticks: tuple[float, dict[str, Any]]) -> list[Any]:
    with capture_logs() as logged:
        for now, stats in ticks:
            reporter.tick(stats, now)
    return logged


def test_nothing_is_logged_when_nothing_grew() -> None:
    assert lines(Reporter(0, 0), (1, statistics()), (100, statistics())) == []


def test_strangers_are_told_at_once_with_their_number() -> None:
    (line,) = lines(Reporter(0, 0), (1, statistics(rejected=3)))
    assert (line["event"], line["log_level"], line["endpoint"], line["count"]) == (
        "peers_rejected",
        "warning",
        "ingest",
        3,
    )


def test_a_flood_makes_one_line_an_interval_and_loses_no_count() -> None:
    flood = [(tick / 2, statistics(rejected=10 * (tick + 1))) for tick in range(int(REPORT_INTERVAL_S) * 2 + 1)]
    logged = lines(Reporter(0, 0), *flood)
    assert [line["count"] for line in logged] == [10, 10 * (len(flood) - 1)]


def test_refused_request_is_told_with_its_reason() -> None:
    (line,) = lines(Reporter(0, 0), (1, statistics(refused=1)))
    assert (line["event"], line["last"]) == ("control_requests_refused", "why")


def test_a_sender_that_left_is_no_warning_and_names_the_size_limit() -> None:
    (line,) = lines(Reporter(0, 0), (1, statistics(left=1)))
    assert (line["event"], line["log_level"]) == ("peers_left", "info")
    assert "--max-message-bytes" in line["hint"]


def test_statistics_are_off_by_default() -> None:
    assert lines(Reporter(0, 0), (1, statistics(frames_in=5))) == []


def test_statistics_come_at_their_interval_and_only_if_something_moved() -> None:
    logged = lines(
        Reporter(10, 0),
        (9, statistics(frames_in=5)),
        (10, statistics(frames_in=5)),
        (20, statistics(frames_in=5)),
        (30, statistics(frames_in=6)),
    )
    assert [(line["event"], line["frames_in"]) for line in logged] == [
        ("broker_statistics", 5),
        ("broker_statistics", 6),
    ]
