"""HTTP requests of one client: heads, pipelined requests and fields are bounded, and odd requests are served."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from tests.e2e.test_hostile_events import WAYS, memory, running
from tests.support.timing import LIMIT_S

pytestmark = pytest.mark.asyncio(loop_scope="session")

OUR_WAYS = [way for way in WAYS if way != "uvicorn"]
OPEN = "GET /socket.io/?EIO=4&transport=polling{query} HTTP/1.1\r\nHost: x\r\n\r\n"
MOST_GROWTH = 60 << 20


class RawClient:
    """An HTTP connection on which anything can be sent."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer

    async def ask(self, request: str) -> tuple[int, str]:
        """Send a request; return the status and the body of its answer."""
        self.writer.write(request.encode())
        return await self.answer()

    async def answer(self) -> tuple[int, str]:
        """Read one answer."""
        async with asyncio.timeout(LIMIT_S):
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode().lower()
            size = int(head.partition("content-length:")[2].split()[0])
            return int(head.split()[1]), (await self._reader.readexactly(size)).decode()

    async def fill(self, data: bytes, most: int) -> int:
        """Send `data` again and again, until the server reads nothing more for a second, or `most` bytes."""
        sent = 0
        while sent < most:
            self.writer.write(data)
            try:
                async with asyncio.timeout(1):
                    await self.writer.drain()
            except (TimeoutError, ConnectionError):
                break
            sent += len(data)
        return sent


@asynccontextmanager
async def raw_client(url: str) -> AsyncIterator[RawClient]:
    host, _, port = url.removeprefix("http://").rpartition(":")
    client = RawClient(*await asyncio.open_connection(host, int(port)))
    try:
        yield client
    finally:
        client.writer.transport.abort()


async def open_session(client: RawClient) -> str:
    """Open a polling session; return its id."""
    status, body = await client.ask(OPEN.format(query=""))
    assert status == 200
    return str(json.loads(body[1:])["sid"])


async def assert_served(url: str, family: list[psutil.Process], before: int) -> None:
    """Check that others are served, and that memory has grown little."""
    async with raw_client(url) as other:
        await open_session(other)
    assert memory(family) - before < MOST_GROWTH


@pytest.mark.parametrize("way", OUR_WAYS)
async def test_head_without_end_is_refused_on_every_request_of_a_connection(way: str, tmp_path: Path) -> None:
    async with running(way, tmp_path) as (url, family):
        before = memory(family)
        for earlier in (0, 2):
            async with raw_client(url) as client:
                for _ in range(earlier):
                    await open_session(client)
                status, _ = await client.ask("GET / HTTP/1.1\r\nA: " + "a" * 40_000)
                assert status == 431
            async with raw_client(url) as client:
                for _ in range(earlier):
                    await open_session(client)
                client.writer.write(b"GET / HTTP/1.1\r\nA: ")
                await client.fill(b"a" * (1 << 20), 100 << 20)
        await assert_served(url, family, before)


@pytest.mark.parametrize("way", OUR_WAYS)
@pytest.mark.parametrize("query", ["", "&sid=unknown"])
async def test_pipelined_requests_whose_answers_are_not_read_stay_bounded(
    way: str, query: str, tmp_path: Path
) -> None:
    async with running(way, tmp_path) as (url, family):
        before = memory(family)
        requests = OPEN.format(query=query).encode() * 2_000
        clients = []
        for _ in range(10):
            context = raw_client(url)
            client = await context.__aenter__()
            client._reader._transport.pause_reading()  # type: ignore[attr-defined]
            clients.append((context, client))
        await asyncio.gather(*(client.fill(requests, 40 << 20) for _, client in clients))
        await assert_served(url, family, before)
        for context, _ in clients:
            await context.__aexit__(None, None, None)


@pytest.mark.parametrize("way", OUR_WAYS)
async def test_post_with_an_offer_to_upgrade_keeps_its_body(way: str, tmp_path: Path) -> None:
    async with running(way, tmp_path) as (url, _), raw_client(url) as client:
        query = f"&sid={await open_session(client)}"
        post = OPEN.format(query=query).replace("GET", "POST").removesuffix("\r\n")
        offer = "Connection: Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAA\r\nContent-Length: 2\r\n\r\n"
        assert await client.ask(f"{post}{offer}40") == (200, "ok")
        status, body = await client.ask(OPEN.format(query=query))
        assert status == 200
        assert body.startswith("40{")


async def test_spaces_behind_the_method_do_not_change_the_worker(tmp_path: Path) -> None:
    async with running("serve", tmp_path, "--workers", "3") as (url, _):
        for _ in range(6):
            async with raw_client(url) as client:
                query = f"&sid={await open_session(client)}"
            post = OPEN.format(query=query).replace("GET ", "POST  ").removesuffix("\r\n")
            async with raw_client(url) as other:
                assert await other.ask(f"{post}Content-Length: 2\r\n\r\n40") == (200, "ok")


@pytest.mark.parametrize("way", OUR_WAYS)
async def test_very_many_fields_are_refused(way: str, tmp_path: Path) -> None:
    async with running(way, tmp_path) as (url, _):
        plain = OPEN.format(query="")
        for request, expected in (
            (OPEN.format(query="&a" * 10_000), 400),
            (plain.replace("Host: x\r\n", "Host: x\r\n" + "A: b\r\n" * 101), 431),
            (plain.replace("Host: x", "Host: x\r\nX-Forwarded-For: " + "1.2.3.4," * 3_000), 431),
            (plain.replace("Host: x", "Host: x\r\nX-Forwarded-For: " + "1.2.3.4," * 5_000), 431),
        ):
            async with raw_client(url) as client:
                status, _ = await client.ask(request)
                assert status == expected
