"""Tests of `zmqio.compat.asgi_app`."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.support.asgi import http
from zmqio.compat import ASGIApp, AsyncServer
from zmqio.exceptions import ConfigError

POLL = "EIO=4&transport=polling"


async def run_lifespan(app: Any, meanwhile: Any = None) -> list[str]:
    """Start the app, call `meanwhile`, and stop the app; return the types of its messages."""
    sent: list[str] = []
    events: asyncio.Queue[dict[str, str]] = asyncio.Queue()

    async def send(message: dict[str, str]) -> None:
        sent.append(message["type"])
        if message["type"] == "lifespan.startup.complete":
            if meanwhile is not None:
                await meanwhile()
            events.put_nowait({"type": "lifespan.shutdown"})

    events.put_nowait({"type": "lifespan.startup"})
    await app({"type": "lifespan"}, events.get, send)
    return sent


async def test_the_functions_run_while_the_node_runs() -> None:
    sio, order = AsyncServer(), []

    async def started() -> None:
        order.append(("started", sio.io.running))

    app = ASGIApp(sio, on_startup=started, on_shutdown=lambda: order.append(("stopping", sio.io.running)))
    assert await run_lifespan(app) == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert order == [("started", True), ("stopping", True)]
    assert not sio.io.running


async def test_a_task_may_begin_while_another_app_starts() -> None:
    sio, order = AsyncServer(), []

    async def work(name: str) -> None:
        order.append(name)
        try:
            await sio.sleep(3600)
        finally:
            order.append("cancelled")

    async def other(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        order.append(("running", sio.io.running))
        sio.start_background_task(work, name="begun")
        await sio.sleep(0)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})

    async def meanwhile() -> None:
        order.append(("running", sio.io.running))

    await run_lifespan(ASGIApp(sio, other, on_startup=lambda: order.append("started")), meanwhile)
    assert order == [("running", False), "begun", "started", ("running", True), "cancelled"]


async def test_an_error_at_the_start_is_reported() -> None:
    def fail() -> None:
        raise LookupError("no database")

    sent: list[str] = []

    async def send(message: dict[str, str]) -> None:
        sent.append(message["type"])

    async def receive() -> dict[str, str]:
        return {"type": "lifespan.startup"}

    sio = AsyncServer()
    with pytest.raises(LookupError):
        await ASGIApp(sio, on_startup=fail)({"type": "lifespan"}, receive, send)
    assert sent == ["lifespan.startup.failed"]
    await sio.shutdown()


async def test_socket_io_static_files_and_the_other_app_share_the_paths(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("page")

    async def other(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            raise NotImplementedError
        await send({"type": "http.response.start", "status": 299, "headers": []})
        await send({"type": "http.response.body", "body": b"other"})

    sio = AsyncServer(cors_allowed_origins=["http://page"])
    app = ASGIApp(sio, other, static_files={"/": str(tmp_path / "index.html")}, socketio_path="/ws/")

    async def requests() -> None:
        assert (await http(app, "GET", POLL, path="/ws/")).status == 200
        assert (await http(app, "GET", path="/")).text == "page"
        assert (await http(app, "GET", POLL, path="/socket.io/")).status == 299
        assert (await http(app, "GET", path="/healthz")).status == 299
        files = await http(app, "GET", path="/ws/socket.io.js", headers={"origin": "http://page"})
        assert files.headers["access-control-allow-origin"] == "http://page"

    await run_lifespan(app, requests)


async def test_without_a_path_every_request_is_one_of_socket_io() -> None:
    sio = AsyncServer()
    app = ASGIApp(sio, socketio_path=None)

    async def requests() -> None:
        for path in ("/", "/any/where", "/socket.io/"):
            assert (await http(app, "GET", POLL, path=path)).status == 200

    await run_lifespan(app, requests)


def test_a_server_of_python_socketio_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"needs an AsyncServer of zmqio\.compat"):
        ASGIApp(object())  # type: ignore[arg-type]
