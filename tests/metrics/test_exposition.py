"""The text that Prometheus reads."""

import asyncio
import sys

import pytest

from tests.support.prometheus import parse_families
from zmqio.exceptions import ConfigError
from zmqio.metrics.exposition import SAMPLES_PER_STEP, SampleCollector, expose, expose_in_steps
from zmqio.metrics.samples import Sample

SAMPLES = (
    Sample("zmqio_ready", 1),
    Sample("zmqio_sockets", 3, (("namespace", '/a"\n\\'),)),
    Sample("zmqio_bus_gaps", 2, suffix="_total"),
    Sample("zmqio_sockets", 4, (("namespace", "/b"),)),
)


def many(count: int) -> list[Sample]:
    return [Sample("zmqio_sockets", number, (("namespace", str(number)),)) for number in range(count)]


def test_parser_reads_the_samples_back() -> None:
    content_type, body = expose(SampleCollector(lambda: SAMPLES))
    families = parse_families(body.decode())
    assert [(family.name, family.type) for family in families] == [
        ("zmqio_ready", "gauge"),
        ("zmqio_sockets", "gauge"),
        ("zmqio_bus_gaps", "counter"),
    ]
    assert [(sample.labels, sample.value) for sample in families[1].samples] == [
        ({"namespace": '/a"\n\\'}, 3.0),
        ({"namespace": "/b"}, 4.0),
    ]
    assert families[2].samples[0].name == "zmqio_bus_gaps_total"
    assert content_type.startswith("text/plain; version=0.0.4")


def test_openmetrics_is_sent_to_those_who_accept_it() -> None:
    content_type, body = expose(SampleCollector(lambda: SAMPLES), "application/openmetrics-text; version=1.0.0")
    assert content_type.startswith("application/openmetrics-text; version=1.0.0")
    assert body.endswith(b"# EOF\n")


@pytest.mark.parametrize("accept", ["", "application/openmetrics-text; version=1.0.0"])
async def test_steps_give_the_same_text(accept: str) -> None:
    samples = many(3 * SAMPLES_PER_STEP)
    collector = SampleCollector(lambda: [*SAMPLES, *samples])
    assert await expose_in_steps(collector, accept) == expose(collector, accept)
    empty = SampleCollector(list)
    assert await expose_in_steps(empty, accept) == expose(empty, accept)


async def test_loop_does_other_work_between_the_steps() -> None:
    samples = many(9 * SAMPLES_PER_STEP)
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.ensure_future(count_turns())
    await expose_in_steps(SampleCollector(lambda: samples))
    counting.cancel()
    assert turns >= 9


def test_collector_registers_in_an_applications_own_registry() -> None:
    from prometheus_client import CollectorRegistry

    registry = CollectorRegistry()
    registry.register(SampleCollector(lambda: SAMPLES))
    assert registry.get_sample_value("zmqio_bus_gaps_total") == 2


def test_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with pytest.raises(ConfigError, match=r"pip install zmqio\[prometheus\]"):
        expose(SampleCollector(lambda: SAMPLES))
