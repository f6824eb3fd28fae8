"""The broker's statistics for Prometheus."""

import re
import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from zmqio_broker.metrics import METRICS, PEER_METRICS, MetricsServer, StatisticsCollector, parse_address

from tests.support.prometheus import parse_values

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "metrics.md"
STATISTICS: dict[str, Any] = {key: number for number, (_, _, key) in enumerate(METRICS.values(), start=1)}
STATISTICS["peers"] = {
    role: {key: number for number, (_, _, key) in enumerate(PEER_METRICS.values())}
    for role in ("publish", "ingest")
}


@pytest.fixture
def server() -> Iterator[MetricsServer]:
    made = MetricsServer("127.0.0.1", 0)
    made.collector.statistics = STATISTICS
    yield made
    made.close()


def scrape(server: MetricsServer) -> dict[str, float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics", timeout=30) as answer:
        return parse_values(answer.read().decode())


def test_every_statistic_is_exposed(server: MetricsServer) -> None:
    found = scrape(server)
    assert found["zmqio_broker_uptime_seconds"] == STATISTICS["uptime_s"]
    assert found["zmqio_broker_bytes_sent_total"] == STATISTICS["bytes_out"]
    assert found["zmqio_broker_peers_connects_total{endpoint=ingest}"] == 1
    assert len(found) == len(METRICS) + 2 * len(PEER_METRICS)


def test_nothing_is_exposed_before_the_first_statistics() -> None:
    assert list(StatisticsCollector().collect()) == []


def test_clients_that_send_no_http_or_disconnect_are_no_fault(
    server: MetricsServer, capfd: pytest.CaptureFixture[str]
) -> None:
    for request in (b"", b"\0\xff\r\n\r\n", b"POST /metrics HTTP/1.1\r\nContent-Length: 9\r\n\r\n"):
        with socket.create_connection(("127.0.0.1", server.port), timeout=30) as client:
            client.sendall(request)
    assert scrape(server)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("9100", ("127.0.0.1", 9100)),
        (":9100", ("127.0.0.1", 9100)),
        ("0.0.0.0:9100", ("0.0.0.0", 9100)),
        ("[::1]:9100", ("::1", 9100)),
    ],
)
def test_address_without_a_host_is_this_machine_only(text: str, address: tuple[str, int]) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize("text", ["", "localhost", "localhost:http", "localhost:70000"])
def test_other_addresses_are_errors(text: str) -> None:
    with pytest.raises(ValueError, match="HOST:PORT"):
        parse_address(text)


def test_page_lists_every_metric_of_the_broker() -> None:
    rows = re.findall(r"^\| `(zmqio_broker_\w+)` \| (\w+) \| (.+) \| (.+) \|$", PAGE.read_text(), re.M)
    in_code = [(name, kind, "-", text) for name, (kind, text, _) in METRICS.items()]
    in_code += [(name, kind, "`endpoint`", text) for name, (kind, text, _) in PEER_METRICS.items()]
    assert rows == sorted(in_code)
