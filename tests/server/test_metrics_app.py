"""The metrics of a server over HTTP, alone and beside Socket.IO."""

import sys

import pytest

import zmqio
from tests.support.asgi import Answer, http
from tests.support.prometheus import parse_families
from zmqio.exceptions import ConfigError


def names(answer: Answer) -> set[str]:
    return {family.name for family in parse_families(answer.text)}


async def test_metrics_are_not_served_by_default() -> None:
    async with zmqio.Server(None) as io:
        assert (await http(io.asgi(), "GET", path="/metrics")).status == 404


async def test_metrics_beside_socket_io() -> None:
    async with zmqio.Server(None) as io:
        answer = await http(io.asgi(metrics_path="/metrics/"), "GET", path="/metrics")
        assert (answer.status, "zmqio_sessions" in names(answer)) == (200, True)
        assert (await http(io.asgi(metrics_path="/metrics"), "POST", path="/metrics")).status == 405


async def test_app_of_its_own_responds_on_every_path() -> None:
    async with zmqio.Server(None) as io:
        for path in ("/", "/metrics"):
            assert "zmqio_sessions" in names(await http(io.metrics_app(), "GET", path=path))


async def test_scrape_does_not_start_the_server() -> None:
    io = zmqio.Server(None)
    answer = await http(io.metrics_app(), "GET", path="/metrics")
    alone = {name for name in names(answer) if not name.startswith("zmqio_http_")}
    assert alone == {"zmqio_build_info", "zmqio_ready"}
    assert io.running is False


def test_missing_package_is_named_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    io = zmqio.Server(None)
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    io.asgi()
    with pytest.raises(ConfigError, match="prometheus-client"):
        io.asgi(metrics_path="/metrics")
    with pytest.raises(ConfigError, match="prometheus-client"):
        io.metrics_app()
