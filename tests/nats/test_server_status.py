"""Tests of `zmqio.nats.server_status`, on a real server."""

import asyncio
import re
from collections.abc import Mapping
from typing import Any

from tests.support.bus_events import RecordedEvents
from tests.support.nats_server import NatsServerProcess
from tests.support.timing import wait_until
from zmqio.buses import make_observer_bus
from zmqio.nats.server_status import ServerStatus


async def test_reports_the_server_while_the_bus_is_connected_to_it() -> None:
    reports: list[Mapping[str, Any]] = []
    with NatsServerProcess() as server:
        bus, ((address, make),) = _observe(server.address)
        status = make(reports.append)
        assert isinstance(status, ServerStatus)
        assert address == server.address
        status.ask()
        await bus.start(RecordedEvents())
        try:
            await wait_until(lambda: not status.problem, "the connection")
            status.ask()
            await asyncio.to_thread(server.kill)
            await wait_until(lambda: status.problem, "the loss")
            status.ask()
            status.close()
        finally:
            await bus.close()
    none, found, lost = reports
    assert (none, lost) == ({}, {})
    assert re.fullmatch(r"NATS [\d.]+, 1 server", found["server"])


def _observe(address: str) -> Any:
    bus, monitors = make_observer_bus(address)
    return bus, monitors.items()
