from structlog.testing import capture_logs

from zmqio.cluster.diagnostics import Diagnostics


def test_every_occurrence_is_counted_and_few_are_logged() -> None:
    now = [0.0]
    incidents = Diagnostics(lambda: now[0], interval_s=10)
    with capture_logs() as lines:
        for _ in range(1_000):
            incidents.report("bus_rubbish", bytes=3)
        now[0] = 10.0
        incidents.report("bus_rubbish", bytes=4)
    assert incidents.counters == {"bus_rubbish": 1_001}
    assert [(line["event"], line["times"], line["bytes"]) for line in lines] == [
        ("bus_rubbish", 1, 3),
        ("bus_rubbish", 1_000, 4),
    ]


def test_kinds_do_not_silence_each_other() -> None:
    incidents = Diagnostics(lambda: 0.0)
    with capture_logs() as lines:
        incidents.report("one")
        incidents.report("other")
        incidents.count("third", 5)
        incidents.tell("fourth")
    assert [line["event"] for line in lines] == ["one", "other", "fourth"]
    assert incidents.counters == {"one": 1, "other": 1, "third": 5}
