"""The metrics of all processes, from reports of processes that come and go."""

from typing import Any

from zmqio.launcher.metrics.catalogue import BROKER_METRICS, BROKER_PEER_METRICS, SERVE_METRICS
from zmqio.launcher.metrics.serve_metrics import ServeMetrics
from zmqio.metrics.samples import Sample


class Host:
    def __init__(self, workers: int = 2) -> None:
        self.now = 100.0
        self.balancers = {1: {"connections_accepted": 5}, 2: {"connections_accepted": 7, "heads_timed_out": 1}}
        self.metrics = ServeMetrics(workers, lambda: self.balancers, lambda: self.now)

    def values(self) -> dict[str, float]:
        found = {}
        for metric, value, labels, suffix in self.metrics.samples():
            assert tuple(name for name, _ in labels) == SERVE_METRICS[metric].labels, metric
            assert (suffix == "_total") == (SERVE_METRICS[metric].kind == "counter"), metric
            text = ",".join(text for _, text in labels)
            assert f"{metric}{{{text}}}" not in found
            found[f"{metric}{{{text}}}"] = value
        return found


def events(count: int) -> list[Sample]:
    return [Sample("zmqio_server_events_received", count, suffix="_total"), Sample("zmqio_ready", 1)]


def statistics(epoch: str, count: int) -> dict[str, Any]:
    peers = dict.fromkeys(BROKER_PEER_METRICS, count)
    return {"epoch": epoch, **dict.fromkeys(BROKER_METRICS, count), "peers": {"publish": peers}}


def test_workers_are_told_apart_and_a_crash_takes_no_counter_back() -> None:
    host = Host()
    for slot, tag in ((1, "a"), (2, "b")):
        host.metrics.worker_started(slot)
        host.metrics.worker_available(slot, tag, is_available=True)
    host.metrics.worker_counted(1, "a", events(10))
    host.metrics.worker_counted(2, "b", events(3))
    host.metrics.worker_exited(1, "a", was_stopped=False)
    found = host.values()
    assert found["zmqio_server_events_received{1}"] == 10
    assert "zmqio_ready{1}" not in found
    assert (found["zmqio_serve_workers_ready{1}"], found["zmqio_serve_workers_ready{2}"]) == (0, 1)
    assert found["zmqio_serve_worker_exits{1}"] == 1
    host.metrics.worker_started(1)
    host.metrics.worker_counted(1, "c", events(2))
    found = host.values()
    assert found["zmqio_server_events_received{1}"] == 12
    assert found["zmqio_serve_worker_starts{1}"] == 2


def test_replaced_worker_and_its_successor_are_one_place() -> None:
    host = Host()
    host.metrics.worker_counted(1, "old", events(10))
    host.metrics.worker_counted(1, "new", events(1))
    host.metrics.worker_counted(1, "old", events(11))
    assert host.values()["zmqio_server_events_received{1}"] == 12
    host.metrics.worker_exited(1, "old", was_stopped=True)
    assert host.values()["zmqio_server_events_received{1}"] == 12
    assert host.values()["zmqio_serve_worker_exits{1}"] == 0


def test_report_of_a_worker_that_hangs_grows_old() -> None:
    host = Host()
    host.metrics.worker_counted(1, "a", events(1))
    host.now += 8
    host.metrics.worker_counted(2, "b", events(1))
    host.now += 1
    found = host.values()
    assert found["zmqio_worker_report_age_seconds{1}"] == 9
    assert found["zmqio_worker_report_age_seconds{2}"] == 1


def test_balancers_are_told_apart_and_count_from_zero() -> None:
    found = Host().values()
    assert found["zmqio_serve_connections_accepted{1}"] == 5
    assert found["zmqio_serve_connections_accepted{2}"] == 7
    assert found["zmqio_serve_heads_timed_out{1}"] == 0


def test_counters_of_a_restarted_broker_go_on() -> None:
    host = Host()
    host.metrics.broker_started()
    host.metrics.broker_counted(statistics("one", 10))
    host.metrics.broker_counted({})
    found = host.values()
    assert found["zmqio_serve_broker_up{}"] == 0
    assert found["zmqio_broker_messages_received{}"] == 10
    assert "zmqio_broker_peers_connected{publish}" not in found
    host.metrics.broker_counted(statistics("one", 11))  # it had only been silent
    assert host.values()["zmqio_broker_messages_received{}"] == 11
    host.metrics.broker_started()
    host.metrics.broker_counted(statistics("two", 4))
    found = host.values()
    assert found["zmqio_broker_messages_received{}"] == 15
    assert found["zmqio_broker_peers_connected{publish}"] == 4
    assert found["zmqio_serve_broker_starts{}"] == 2


def test_without_a_broker_of_its_own_nothing_is_said_of_brokers() -> None:
    assert not [name for name in Host().values() if "broker" in name]
