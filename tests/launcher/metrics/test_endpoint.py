"""The metrics over HTTP, and the statistics of a real broker."""

import asyncio
import socket
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.support.broker import BrokerProcess
from tests.support.prometheus import parse_values
from tests.support.timing import LIMIT_S, wait_until
from zmqio.launcher.metrics.endpoint import serve_metrics, watch_broker
from zmqio.launcher.metrics.serve_metrics import ServeMetrics


@asynccontextmanager
async def endpoint() -> AsyncIterator[str]:
    listener = socket.create_server(("127.0.0.1", 0))
    task = asyncio.ensure_future(serve_metrics(ServeMetrics(3, dict, lambda: 0.0), listener))
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/metrics"
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def fetch(url: str, method: str = "GET", accept: str = "") -> tuple[str, str]:
    request = urllib.request.Request(url, method=method, headers={"accept": accept} if accept else {})
    with urllib.request.urlopen(request, timeout=LIMIT_S) as response:
        return response.headers["content-type"], response.read().decode()


async def test_metrics_are_served_in_both_formats_and_to_head() -> None:
    async with endpoint() as url:
        kind, text = await asyncio.to_thread(fetch, url)
        assert kind.startswith("text/plain; version=0.0.4")
        assert parse_values(text)["zmqio_serve_worker_starts_total{worker=3}"] == 0
        kind, text = await asyncio.to_thread(fetch, url, "GET", "application/openmetrics-text; version=1.0.0")
        assert kind.startswith("application/openmetrics-text")
        assert text.endswith("# EOF\n")
        assert text.count("# EOF") == 1
        assert (await asyncio.to_thread(fetch, url, "HEAD"))[1] == ""


async def test_other_methods_are_refused() -> None:
    async with endpoint() as url:
        with pytest.raises(urllib.error.HTTPError, match="405"):
            await asyncio.to_thread(fetch, url, "POST")


async def test_statistics_of_a_broker_are_read_again_and_again() -> None:
    async with BrokerProcess() as broker:
        received: list[Any] = []
        watching = asyncio.ensure_future(watch_broker(broker.address, received.append))
        await wait_until(lambda: len(received) > 1 and received[-1]["control_requests"] > 1, "two responses")
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
