"""A real Prometheus scrapes `zmqio serve` and loads the rules and queries of examples/prometheus."""

import asyncio
import json
import time
from pathlib import Path

import pytest

from tests.e2e.conftest import ClientMaker
from tests.support.ports import free_port
from tests.support.prometheus_server import PrometheusServer
from tests.support.serve_process import ServeProcess
from tests.support.timing import LIMIT_S
from tests.support.tools import require

pytestmark = pytest.mark.asyncio(loop_scope="session")

FOLDER = Path(__file__).parents[2] / "examples" / "prometheus"
RULES = FOLDER / "alerts.yml"
WORKERS = 2


def dashboard_queries() -> list[str]:
    panels = json.loads((FOLDER / "dashboard.json").read_text())["panels"]
    return [target["expr"].replace("$__rate_interval", "5s") for panel in panels for target in panel["targets"]]


async def wait_value(server: PrometheusServer, query: str, value: float) -> None:
    ends_at, found = time.monotonic() + LIMIT_S, None
    while time.monotonic() < ends_at:
        found = await server.query(query)
        if found and float(found[0]["value"][1]) == value:
            return
        await asyncio.sleep(0.2)
    raise AssertionError(f"{query} is {found}, not {value}")


async def test_prometheus_scrapes_serve_and_evaluates_all_rules_and_queries(
    make_client: ClientMaker, tmp_path: Path
) -> None:
    require("prometheus")
    port = free_port()
    address = f"127.0.0.1:{port}"
    async with (
        ServeProcess("--metrics", str(port), workers=WORKERS) as served,
        PrometheusServer(tmp_path, {"zmqio-serve": [address]}, RULES) as prometheus,
    ):
        await wait_value(prometheus, "sum(zmqio_serve_workers_ready)", WORKERS)
        client = make_client("py", served.url, "websocket")
        await client.connect()
        for number in range(7):
            await client.call("echo", number)
        await wait_value(prometheus, "sum(zmqio_server_events_received_total)", 7)
        await wait_value(prometheus, "count(zmqio_worker_report_age_seconds < 5)", WORKERS)
        await wait_value(prometheus, f'up{{instance="{address}"}}', 1)
        assert list(await prometheus.targets()) == [address]
        for query in dashboard_queries():
            await prometheus.query(query)
        await wait_for_rules(prometheus)


async def wait_for_rules(prometheus: PrometheusServer) -> None:
    """Wait until all rules are evaluated, and these find nothing."""
    quiet = {"ZmqioMessagesLost", "ZmqioWorkerDown", "ZmqioWorkerSilent", "ZmqioServeBrokerDown"}
    ends_at = time.monotonic() + LIMIT_S
    while True:
        rules = await prometheus.rules()
        states = {rule["name"]: rule["state"] for rule in rules if rule["health"] != "unknown"}
        if len(states) == len(rules) and {states[name] for name in quiet} == {"inactive"}:
            break
        assert time.monotonic() < ends_at, f"not all rules are evaluated and quiet: {states}"
        await asyncio.sleep(0.2)
    assert len(rules) == RULES.read_text().count("- alert:")
    assert {rule["name"]: rule["lastError"] for rule in rules if rule.get("lastError")} == {}
