"""Pages and clients that claim an origin they do not have, on real servers: credentials, and forwarded headers."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.support.engine_server import SERVERS, run_engine
from tests.support.serve_process import ServeProcess
from tests.support.timing import LIMIT_S

OPEN = {"EIO": "4", "transport": "polling"}
EVIL = {"Origin": "https://evil.example", "X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "https"}
CLIENT = {"X-Forwarded-For": "203.0.113.9"}
CREDENTIALS = "access-control-allow-credentials"


async def _open_both(address: str, headers: dict[str, str], source: str = "127.0.0.1") -> list[int]:
    """The statuses of a polling session and of a WebSocket; 101 stands for an accepted one."""
    transport = httpx.AsyncHTTPTransport(local_address=source)
    async with httpx.AsyncClient(transport=transport, timeout=LIMIT_S) as http:
        polled = await http.get(f"http://{address}", params=OPEN, headers=headers)
    origin = headers["Origin"]
    others = {name: value for name, value in headers.items() if name != "Origin"}
    try:
        async with connect(
            f"ws://{address}?EIO=4&transport=websocket",
            origin=origin,  # type: ignore[arg-type]
            additional_headers=others,
            local_addr=(source, 0),
            open_timeout=LIMIT_S,
        ):
            return [polled.status_code, 101]
    except InvalidStatus as refused:
        return [polled.status_code, refused.response.status_code]


@pytest.mark.parametrize("server", SERVERS)
async def test_any_page_may_connect_and_none_with_credentials(server: str) -> None:
    async with run_engine(server, cors_allowed_origins="*") as host, httpx.AsyncClient(timeout=LIMIT_S) as http:
        for method in ("GET", "OPTIONS", "PUT"):
            answer = await http.request(method, f"http://{host.address}", params=OPEN, headers=EVIL)
            assert answer.headers["access-control-allow-origin"] == "*"
            assert CREDENTIALS not in answer.headers


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize(("trusted", "expected"), [("127.0.0.1,::1", [200, 101]), ("10.0.0.1", [403, 403])])
async def test_forwarded_origin_is_believed_from_trusted_proxies(
    server: str, trusted: str, expected: list[int]
) -> None:
    async with run_engine(server, trusted_proxies=trusted) as host:
        assert await _open_both(host.address, EVIL) == expected


async def test_proxy_is_recognised_although_uvicorn_names_the_client_in_its_place() -> None:
    async with run_engine("uvicorn-fast") as host:
        assert await _open_both(host.address, {**EVIL, **CLIENT}) == [200, 101]
        assert [connection.request.address for connection in host.connections] == ["203.0.113.9"] * 2


async def test_client_that_forwards_the_address_of_the_proxy_is_not_believed() -> None:
    async with run_engine("uvicorn-fast", trusted_proxies="203.0.113.9") as host:
        # Uvicorn trusts the peer, 127.0.0.1, with the address of the client, but the engine trusts another proxy.
        assert await _open_both(host.address, {**EVIL, **CLIENT}) == [403, 403]


@pytest_asyncio.fixture(params=["sid", "none"])
async def server(request: pytest.FixtureRequest) -> AsyncIterator[ServeProcess]:
    """`zmqio serve`; without stickiness, half of the requests are relayed to the other worker."""
    async with ServeProcess("--workers", "2", "--sticky", request.param) as running:
        yield running


async def test_zmqio_serve_believes_its_trusted_proxies_only(server: ServeProcess) -> None:
    address = server.url.removeprefix("http://") + "/socket.io/"
    assert await _open_both(address, EVIL) == [200, 101]
    assert await _open_both(address, EVIL, source="127.0.1.1") == [403, 403]
    polls: list[Any] = [
        _poll_twice(address, "127.0.0.1", 200),
        _poll_twice(address, "127.0.1.1", 403),
    ]
    await asyncio.gather(*polls)


async def _poll_twice(address: str, source: str, status: int) -> None:
    """Open a session without an origin, then use it as a page of another origin, over several connections."""
    own = httpx.AsyncHTTPTransport(local_address=source)
    async with httpx.AsyncClient(transport=own, timeout=LIMIT_S) as http:
        opened = (await http.get(f"http://{address}", params=OPEN)).text
        sid = opened.split('"sid":"')[1].split('"')[0]
        for _ in range(4):
            fresh = {**EVIL, "Connection": "close"}
            answer = await http.post(f"http://{address}", params={**OPEN, "sid": sid}, headers=fresh, content="3")
            assert answer.status_code == status
