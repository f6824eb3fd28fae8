"""CORS and cookies: the options of the server, and their effect on the wire."""

import asyncio
from typing import Any

import httpx
import pytest

import zmqio
from tests.support.clients import TRANSPORTS, ConnectFailed
from tests.support.js_clients import JsClients
from tests.support.served import Served
from tests.support.timing import LIMIT_S

pytestmark = pytest.mark.asyncio(loop_scope="session")

OPEN = {"EIO": "4", "transport": "polling"}
GOOD, BAD = "https://good.example", "https://bad.example"


def served(**options: Any) -> Served:
    """A server with these options."""
    io = zmqio.Server(adapter=None, **options)
    io.on("origin", lambda socket: socket.handshake.headers.get("origin"))
    io.on("cookie", lambda socket: socket.handshake.headers.get("cookie"))
    return Served(io.asgi(), "on")


async def open_from(url: str, origin: str | None, method: str = "GET") -> httpx.Response:
    """Open a session as a page of that origin does."""
    headers = {} if origin is None else {"origin": origin}
    async with httpx.AsyncClient(timeout=LIMIT_S) as http:
        return await http.request(method, f"{url}/socket.io/", params=OPEN, headers=headers)


@pytest.mark.parametrize("allowed", [[GOOD], GOOD])
async def test_listed_origins_are_allowed_and_others_refused(allowed: Any) -> None:
    async with served(cors_allowed_origins=allowed) as server:
        good, bad, none = [await open_from(server.url, origin) for origin in (GOOD, BAD, None)]
        assert (good.status_code, bad.status_code, none.status_code) == (200, 403, 200)
        assert good.headers["access-control-allow-origin"] == GOOD
        assert good.headers["access-control-allow-credentials"] == "true"
        assert bad.headers.get("access-control-allow-origin") != BAD
        preflight = await open_from(server.url, GOOD, "OPTIONS")
        assert preflight.status_code in (200, 204)
        assert preflight.headers["access-control-allow-origin"] == GOOD


async def test_only_the_own_origin_is_allowed_by_default() -> None:
    async with served() as server:
        assert (await open_from(server.url, server.url)).status_code == 200
        assert (await open_from(server.url, BAD)).status_code == 403


async def test_every_origin_and_no_credentials() -> None:
    async with served(cors_allowed_origins="*", cors_credentials=False) as server:
        answer = await open_from(server.url, BAD)
        assert answer.status_code == 200
        assert answer.headers["access-control-allow-origin"] in ("*", BAD)
        assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize("way", TRANSPORTS)
async def test_javascript_client_with_an_origin(js: JsClients, way: str) -> None:
    async with served(cors_allowed_origins=[GOOD]) as server:
        good = js.client(server.url, way, extraHeaders={"origin": GOOD})
        await good.connect()
        assert await good.call("origin") == GOOD
        bad = js.client(server.url, way, extraHeaders={"origin": BAD})
        with pytest.raises(ConnectFailed):
            await bad.connect()
        await asyncio.gather(good.end(), bad.end())


async def test_cookie_carries_the_session_id_with_its_attributes(js: JsClients) -> None:
    async with served(cookie={"name": "node", "path": "/", "SameSite": "Lax"}) as server:
        answer = await open_from(server.url, None)
        sid = answer.text.split('"sid":"')[1].split('"')[0]
        parts = [part.strip() for part in answer.headers["set-cookie"].split(";")]
        assert parts[0] == f"node={sid}"
        assert {"path=/", "samesite=lax"} <= {part.lower() for part in parts[1:]}
        # The JavaScript client stores it and sends it with later requests, which sticky balancing by cookie needs.
        client = js.client(server.url, "polling", withCredentials=True)
        await client.connect()
        await client.end()


async def test_no_cookie_is_set_by_default() -> None:
    async with served() as server:
        assert "set-cookie" not in (await open_from(server.url, None)).headers
