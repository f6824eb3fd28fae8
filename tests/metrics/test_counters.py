"""The names of counters for Prometheus. That the table is complete is tested in tests/test_reference.py."""

from zmqio.metrics.counters import COUNTERS, counter_name


def test_name_has_the_part_once() -> None:
    assert counter_name("bus", "bus_gaps") == "zmqio_bus_gaps"
    assert counter_name("server", "handlers_failed") == "zmqio_server_handlers_failed"


def test_no_two_counters_have_one_name() -> None:
    names = [counter_name(part, counter) for part, counters in COUNTERS.items() for counter in counters]
    assert len(names) == len(set(names))
