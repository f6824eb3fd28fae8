"""Statistics of a node: increases of counters, and sizes of namespaces."""

from tests.support.fake_engine import Harness
from zmqio.server.admin.statistics import MAX_NAMESPACES, Activity, namespace_sizes


def test_increase_since_the_last_look_in_the_series_of_the_page() -> None:
    activity = Activity()
    assert activity.take({"bytes_received": 1_000, "sessions_opened": 7}, 1.0) == []
    found = activity.take({"bytes_received": 1_010, "sessions_opened": 7, "sessions_closed": 2}, 1_700_000_000.9)
    assert found == [
        {"timestamp": 1_700_000_000_000, "type": "rawDisconnection", "count": 2},
        {"timestamp": 1_700_000_000_000, "type": "bytesIn", "count": 10},
    ]
    assert activity.take({"bytes_received": 1_010, "sessions_opened": 7, "sessions_closed": 2}, 3.0) == []


def test_pause_is_not_counted_as_one_burst() -> None:
    activity = Activity()
    activity.take({"events_sent": 1}, 0.0)
    activity.forget()
    assert activity.take({"events_sent": 1_000_000}, 0.0) == []
    assert activity.take({"events_sent": 1_000_001}, 0.0)[0]["count"] == 1


async def test_open_namespaces_are_listed_the_largest_first_and_the_rest_as_one() -> None:
    harness = Harness()
    await harness.connected("/small")
    for _ in range(2):
        await harness.connected("/large")
    harness.of("/not open")
    assert namespace_sizes(harness.namespaces.values()) == [
        {"name": "/large", "socketsCount": 2},
        {"name": "/small", "socketsCount": 1},
    ]
    for number in range(MAX_NAMESPACES + 5):
        await harness.connected(f"/n{number}")
    found = namespace_sizes(harness.namespaces.values())
    assert len(found) == MAX_NAMESPACES + 1
    assert found[-1] == {"name": "(others)", "socketsCount": 7}
