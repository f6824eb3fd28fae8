"""The sum of all servers of a process."""

import gc
from collections.abc import Iterable

import pytest

import zmqio
from tests.support.asgi import http
from zmqio.metrics.process import HTTP_COUNTERS, ProcessMetrics
from zmqio.metrics.samples import Sample
from zmqio.server import lifecycle


class Source:
    def __init__(self) -> None:
        self.count = 0

    def samples(self) -> Iterable[Sample]:
        yield Sample("zmqio_server_events_received", self.count, suffix="_total")
        yield Sample("zmqio_nodes", 2)


def values(process: ProcessMetrics) -> dict[str, float]:
    return {sample.metric: sample.value for sample in process.samples()}


def test_servers_are_added_up_and_a_removed_one_leaves_its_counters() -> None:
    process, one, other = ProcessMetrics(), Source(), Source()
    process.add(one)
    process.add(other)
    one.count, other.count = 3, 4
    assert values(process)["zmqio_server_events_received"] == 7
    process.remove(one)
    process.remove(one)
    other.count += 1
    assert values(process)["zmqio_server_events_received"] == 8
    process.remove(other)
    assert values(process)["zmqio_server_events_received"] == 8
    assert "zmqio_nodes" not in values(process)


def test_source_that_is_gone_is_forgotten() -> None:
    process = ProcessMetrics()
    process.add(Source())
    gc.collect()
    assert "zmqio_nodes" not in values(process)


def test_counters_of_http_are_those_of_the_process() -> None:
    before = values(ProcessMetrics())["zmqio_http_heads_too_large"]
    HTTP_COUNTERS["heads_too_large"] += 1
    assert values(ProcessMetrics())["zmqio_http_heads_too_large"] == before + 1


async def test_counters_of_a_server_outlive_its_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    metrics = ProcessMetrics()  # without the servers of other tests
    monkeypatch.setattr(lifecycle, "PROCESS_METRICS", metrics)
    io = zmqio.Server(None)
    for run in (1, 2):
        await io.start()
        assert (await http(io.asgi(), "GET", "EIO=4&transport=polling")).status == 200
        assert values(metrics)["zmqio_engine_sessions_opened"] == run
        await io.close()
        assert values(metrics)["zmqio_engine_sessions_opened"] == run
