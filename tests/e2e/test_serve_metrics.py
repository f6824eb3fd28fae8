"""`zmqio serve --metrics`: exact counters of all processes, also through crashes, and a real Prometheus."""

import signal
from collections.abc import AsyncIterator

import psutil
import pytest
import pytest_asyncio

from tests.e2e.conftest import ClientMaker
from tests.support.clients import SocketClient
from tests.support.forked import is_broker
from tests.support.scrapes import Scrapes
from tests.support.serve_process import ServeProcess
from tests.support.timing import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="session")

WORKERS = 2


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def server() -> AsyncIterator[ServeProcess]:
    async with ServeProcess("--metrics", "0", "--acceptors", "2", workers=WORKERS) as process:
        yield process


@pytest_asyncio.fixture(loop_scope="session")
async def scrapes(server: ServeProcess) -> AsyncIterator[Scrapes]:
    """Scrapes all the time, and fails if a counter ever decreases."""
    async with Scrapes(str(server.log_lines("server_started")[0]["metrics"])) as made:
        yield made


async def load(clients: list[SocketClient], events: int) -> None:
    for client in clients:
        await client.connect()
        for number in range(events):
            await client.call("echo", number)


async def test_counters_are_exactly_what_clients_did_also_through_a_crash_and_a_restart(
    server: ServeProcess, scrapes: Scrapes, make_client: ClientMaker
) -> None:
    await scrapes.wait_for(lambda: scrapes.total("zmqio_serve_workers_ready") == WORKERS, "the workers")
    clients = [make_client("py", server.url, "websocket") for _ in range(6)]
    await load(clients, 5)
    await clients[0].call("say", "hello")
    homes = [(await client.call("whoami"))["pid"] for client in clients]
    expected = {"events_received": 37, "events_sent": 6}
    await scrapes.wait_counters("zmqio_server", expected)
    await scrapes.wait_counters("zmqio_engine", {"sessions_opened": 6})
    await scrapes.wait_for(lambda: scrapes.total("zmqio_serve_connections_passed_total") == 6, "the acceptors")

    # Nearly always half of them; a worker that was slow has fewer.
    killed = homes[0]
    psutil.Process(killed).kill()
    await server.wait_log("worker_started", WORKERS + 1)
    await scrapes.wait_for(lambda: scrapes.total("zmqio_serve_worker_exits_total") == 1, "the crash")
    more = [make_client("py", server.url, "websocket") for _ in range(4)]
    await load(more, 5)
    await scrapes.wait_counters("zmqio_server", {"events_received": 57, "events_sent": 6})
    await scrapes.wait_counters("zmqio_engine", {"sessions_opened": 10})
    lost = homes.count(killed)
    await wait_until(lambda: sum(bool(client.received.disconnects) for client in clients) == lost, "the lost ones")

    server.send_signal(signal.SIGHUP)
    await server.wait_log("rolling_restart_completed")
    # The sessions that ended with their worker are in its last report.
    await scrapes.wait_counters("zmqio_engine", {"sessions_opened": 10, "sessions_closed": 10 - lost})
    await scrapes.wait_counters("zmqio_server", {"events_received": 57, "events_sent": 6})
    assert scrapes.total("zmqio_serve_worker_exits_total") == 1
    assert scrapes.total("zmqio_serve_worker_starts_total") == 2 * WORKERS + 1


async def test_worker_that_hangs_shows(server: ServeProcess, scrapes: Scrapes) -> None:
    line = server.log_lines("worker_started")[-1]
    worker = f"{{worker={line['worker']}}}"
    process = psutil.Process(line["pid"])
    process.suspend()
    try:
        await scrapes.wait_for(lambda: scrapes.values[f"zmqio_serve_workers_ready{worker}"] == 0, "the stall")
        await scrapes.wait_for(
            lambda: scrapes.values[f"zmqio_worker_report_age_seconds{worker}"] > 3, "its report to grow old"
        )
    finally:
        process.resume()
    await scrapes.wait_for(lambda: scrapes.values[f"zmqio_serve_workers_ready{worker}"] == 1, "its recovery")
    await scrapes.wait_for(
        lambda: scrapes.values[f"zmqio_worker_report_age_seconds{worker}"] < 3, "its next report"
    )


async def test_counters_go_on_when_broker_and_acceptor_crash(server: ServeProcess, scrapes: Scrapes) -> None:
    await scrapes.wait_for(lambda: scrapes.values.get("zmqio_broker_messages_received_total", 0) > 0, "traffic")
    before = scrapes.values["zmqio_broker_messages_received_total"]
    (broker,) = (child for child in server.children() if is_broker(child))
    acceptor = psutil.Process(server.log_lines("acceptor_started")[0]["pid"])
    broker.kill()
    acceptor.kill()
    await server.wait_log("acceptor_started", 3)
    await scrapes.wait_for(lambda: scrapes.values["zmqio_serve_broker_starts_total"] == 2, "the new broker")
    await scrapes.wait_for(
        lambda: (
            scrapes.values["zmqio_serve_broker_up"] == 1
            and scrapes.values["zmqio_broker_messages_received_total"] > before
        ),
        "its statistics on top of those of the old one",
    )


async def test_address_in_use_is_one_clear_line(server: ServeProcess) -> None:
    port = str(server.log_lines("server_started")[0]["metrics"]).rpartition(":")[2].partition("/")[0]
    other = ServeProcess("--metrics", port, workers=1)
    other.spawn()
    try:
        assert await other.wait() == 1
        assert f"cannot listen on 127.0.0.1:{port}" in other.log_text()
        assert "Traceback" not in other.log_text()
    finally:
        await other.close()
