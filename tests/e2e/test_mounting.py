"""Places of the ASGI app: alone, around another app, or mounted in one at any path."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from tests.support.clients import TRANSPORTS
from tests.support.js_clients import JsClients
from tests.support.node_app import NodeApp
from tests.support.served import Served
from zmqio.server.server import Server

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def own_page(_request: Request) -> PlainTextResponse:
    return PlainTextResponse("mine")


def fastapi_app() -> FastAPI:
    app = FastAPI()
    app.add_api_route("/own", own_page)
    return app


def fastapi_mount(io: Server) -> Any:
    app = fastapi_app()
    app.mount("/socket.io", io.asgi())
    return app


def starlette_mount(*paths: str) -> Callable[[Server], Any]:
    def make(io: Server) -> Any:
        return Starlette(routes=[Route("/own", own_page), *(Mount(path, io.asgi()) for path in paths)])

    return make


def nested_mount(io: Server) -> Any:
    inner = Starlette(routes=[Mount("/b", io.asgi())])
    return Starlette(routes=[Route("/own", own_page), Mount("/a", inner)])


@dataclass(frozen=True)
class Case:
    """The composition of an app, and the `path` option of its clients."""

    make: Callable[[Server], Any]
    path: str
    has_own_page: bool = True


CASES = {
    "alone": Case(lambda io: io.asgi(), "/socket.io", has_own_page=False),
    "alone, another path": Case(lambda io: io.asgi(path="/live/feed"), "/live/feed", has_own_page=False),
    "around FastAPI": Case(lambda io: io.asgi(fastapi_app()), "/socket.io"),
    "FastAPI mount": Case(fastapi_mount, "/socket.io"),
    "Mount at /ws": Case(starlette_mount("/ws"), "/ws"),
    "Mount at /ws, full path": Case(starlette_mount("/ws"), "/ws/socket.io"),
    "Mount at /a/b": Case(starlette_mount("/a/b"), "/a/b"),
    "Mount in a Mount": Case(nested_mount, "/a/b"),
    "Mount at /": Case(starlette_mount("/"), "/socket.io"),
}


@pytest.mark.parametrize("name", CASES)
async def test_clients_connect_wherever_the_app_is_put(js: JsClients, name: str) -> None:
    case = CASES[name]
    io = Server(adapter=None)
    NodeApp(io, name)
    async with Served(case.make(io)) as served:
        for way in TRANSPORTS:
            client = js.client(served.url, way, path=case.path)
            await client.connect()
            if way == "upgrade":
                await client.wait_upgraded()
            assert await client.call("echo", way, b"\x00") == [way, b"\x00"]
            await client.disconnect()
        async with httpx.AsyncClient(base_url=served.url) as http:
            script = await http.get(f"{case.path}/socket.io.js")
            assert script.headers["content-type"].startswith("application/javascript")
            assert "Socket.IO" in script.text[:200]
            own = await http.get("/own")
            assert (own.status_code, own.text) == ((200, "mine") if case.has_own_page else (404, own.text))


async def test_the_lifespan_of_a_wrapped_app_runs_around_the_clients() -> None:
    seen: list[str] = []
    io = Server(adapter=None)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        seen.append("up")
        yield
        seen.append("down")

    async with Served(io.asgi(FastAPI(lifespan=lifespan)), lifespan="on"):
        assert seen == ["up"]
        assert io.running
    assert seen == ["up", "down"]
    assert not io.running
