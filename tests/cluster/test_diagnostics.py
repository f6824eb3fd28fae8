from structlog.testing import capture_logs

from zmqio.cluster.diagnostics import Diagnostics


def test_every_occurrence_is_counted_but_few_are_logged() -> None:
    now = [0.0]
    diagnostics = Diagnostics(lambda: now[0], interval_s=10)
    with capture_logs() as lines:
        for _ in range(1_000):
            diagnostics.report("bus_message_malformed", bytes=3)
        now[0] = 10.0
        diagnostics.report("bus_message_malformed", bytes=4)
    assert diagnostics.counters == {"bus_message_malformed": 1_001}
    assert [(line["event"], line["times"], line["bytes"]) for line in lines] == [
        ("bus_message_malformed", 1, 3),
        ("bus_message_malformed", 1_000, 4),
    ]


def test_each_kind_has_its_own_log_limit() -> None:
    diagnostics = Diagnostics(lambda: 0.0)
    with capture_logs() as lines:
        diagnostics.report("one")
        diagnostics.report("other")
        diagnostics.count("third", 5)
        diagnostics.warn("fourth")
    assert [line["event"] for line in lines] == ["one", "other", "fourth"]
    assert diagnostics.counters == {"one": 1, "other": 1, "third": 5}
