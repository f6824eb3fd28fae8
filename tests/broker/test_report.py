from typing import Any

from structlog.testing import capture_logs
from zmqio_broker.report import REPORT_INTERVAL_S, Reporter


def statistics(
    *, rejections: int = 0, control_rejections: int = 0, disconnects: int = 0, frames_in: int = 0
) -> dict[str, Any]:
    peers = {"connected": 0, "rejections": rejections, "accept_failures": 0, "disconnects": disconnects}
    unchanged = dict.fromkeys(("bytes_in", "frames_out", "bytes_out", "ingest_frames", "subscription_changes"), 0)
    return {
        **unchanged,
        "frames_in": frames_in,
        "uptime_s": 1.0,
        "control_rejections": control_rejections,
        "control_last_rejection": "why",
        "peers": {"ingest": peers},
    }


def lines(reporter: Reporter, *ticks: tuple[float, dict[str, Any]]) -> list[Any]:
    with capture_logs() as logged:
        for now, stats in ticks:
            reporter.tick(stats, now)
    return logged


def test_unchanged_counters_are_not_logged() -> None:
    assert lines(Reporter(0, 0), (1, statistics()), (100, statistics())) == []


def test_rejected_peers_are_logged_at_once_with_their_number() -> None:
    (line,) = lines(Reporter(0, 0), (1, statistics(rejections=3)))
    assert (line["event"], line["log_level"], line["endpoint"], line["count"]) == (
        "peers_rejected",
        "warning",
        "ingest",
        3,
    )


def test_flood_gives_one_line_per_interval_and_every_rejection_is_counted() -> None:
    flood = [(tick / 2, statistics(rejections=10 * (tick + 1))) for tick in range(int(REPORT_INTERVAL_S) * 2 + 1)]
    logged = lines(Reporter(0, 0), *flood)
    assert [line["count"] for line in logged] == [10, 10 * (len(flood) - 1)]


def test_rejected_request_is_logged_with_its_reason() -> None:
    (line,) = lines(Reporter(0, 0), (1, statistics(control_rejections=1)))
    assert (line["event"], line["reason"]) == ("control_requests_rejected", "why")


def test_disconnected_sender_is_logged_at_info_and_the_hint_names_the_size_limit() -> None:
    (line,) = lines(Reporter(0, 0), (1, statistics(disconnects=1)))
    assert (line["event"], line["log_level"]) == ("peers_disconnected", "info")
    assert "--max-message-bytes" in line["hint"]


def test_statistics_are_off_by_default() -> None:
    assert lines(Reporter(0, 0), (1, statistics(frames_in=5))) == []


def test_statistics_are_logged_at_their_interval_and_only_if_they_changed() -> None:
    logged = lines(
        Reporter(10, 0),
        (9, statistics(frames_in=5)),
        (10, statistics(frames_in=5)),
        (20, statistics(frames_in=5)),
        (30, statistics(frames_in=6)),
    )
    assert [(line["event"], line["frames_in"]) for line in logged] == [
        ("statistics_reported", 5),
        ("statistics_reported", 6),
    ]
