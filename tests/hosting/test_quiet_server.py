"""An idle uvicorn wakes up once a second, and stops at once."""

import asyncio
import signal
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn

from tests.support.timing import wait_until
from zmqio.hosting import quiet_server
from zmqio.hosting.quiet_server import wake_once_a_second

HOUR_S = 3_600.0


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test waits for a tick: without the assignment's effect it would time out."""
    monkeypatch.setattr(quiet_server, "TICK_S", HOUR_S)
    wake_once_a_second()


async def _app(_scope: Any, _receive: Any, _send: Any) -> None:
    """An app that is never called."""


@asynccontextmanager
async def serving(**options: Any) -> AsyncIterator[uvicorn.Server]:
    config = uvicorn.Config(_app, port=0, lifespan="off", log_config=None, **options)
    server = uvicorn.Server(config)
    running = asyncio.ensure_future(server.serve())
    await wait_until(lambda: server.started, "the start")
    yield server
    await wait_until(running.done, "the end")
    running.result()


async def test_assignment_stops_the_server_at_once() -> None:
    async with serving() as server:
        assert server.should_exit is False
        server.should_exit = True
    assert server.should_exit is True


async def test_assignment_in_another_thread_stops_the_server_at_once() -> None:
    async with serving() as server:
        threading.Thread(target=setattr, args=(server, "should_exit", True)).start()


async def test_stop_signal_stops_the_server_at_once() -> None:
    received: list[int] = []
    previous = signal.signal(signal.SIGTERM, lambda number, frame: received.append(number))
    try:
        async with serving():
            await asyncio.sleep(0)
            signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, previous)
    assert received == [signal.SIGTERM]  # uvicorn raises it again for the program around it


async def test_tick_updates_the_date_header(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quiet_server, "TICK_S", 0.01)
    async with serving() as server:
        server.server_state.default_headers = []
        await wait_until(lambda: server.server_state.default_headers, "the header")
        server.should_exit = True


async def test_server_that_limits_its_requests_keeps_uvicorns_loop() -> None:
    async with serving(limit_max_requests=1) as server:
        server.server_state.total_requests = 1


async def test_assignment_before_the_start_and_after_the_end_has_no_effect_on_the_loop() -> None:
    server = uvicorn.Server(uvicorn.Config(_app, log_config=None))
    server.should_exit = True
    assert server.should_exit
