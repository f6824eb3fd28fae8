"""Clients that close their side: answered where an answer is due, gone where somebody waits to hear that."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from uvicorn import Config
from uvicorn.server import ServerState

from tests.support.timing import LIMIT_S, wait_until
from zmqio.hosting.half_closed import HalfCloseWatch, half_close
from zmqio.hosting.http_protocol import HttpProtocol

GET = b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n"


class App:
    """Answers with the path and the size of the body once it is let; or waits for the client's end."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.go = asyncio.Event()
        self.state = ServerState()

    def last_request(self) -> bool:
        """Whether the request that runs is the last of its connection."""
        (protocol,) = self.state.connections
        cycle: Any = protocol.cycle  # type: ignore[union-attr]
        return not cycle.keep_alive

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        message = await receive()
        size = len(message["body"])
        while message["more_body"]:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.heard.append("broken off")
                return
            size += len(message["body"])
        if scope["path"] == "/waits":
            while message["type"] != "http.disconnect":
                self.heard.append("waits")
                message = await receive()
            self.heard.append("gone")
            return
        self.heard.append("works")
        await self.go.wait()
        body = f"{scope['path']} {size}".encode()
        headers = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[App, asyncio.StreamReader, asyncio.StreamWriter]]:
    app = App()
    config = Config(app, http=HttpProtocol, log_config=None, access_log=False)
    config.load()
    state = app.state
    make: Callable[[], asyncio.Protocol] = lambda: HttpProtocol(config, state, {})  # noqa: E731
    server = await asyncio.get_running_loop().create_server(make, "127.0.0.1", 0)
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        yield app, reader, writer
        writer.close()
        await writer.wait_closed()
        await wait_until(lambda: not state.connections and not state.tasks, "the end of the connection")


@pytest.mark.parametrize("when", ["at once", "while it works"])
async def test_answer_comes_after_the_client_has_closed_its_side(when: str) -> None:
    async with connected() as (app, reader, writer):
        writer.write(b"POST /it HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello")
        if when == "while it works":
            await wait_until(lambda: app.heard == ["works"], "it works")
        writer.write_eof()
        await wait_until(lambda: app.heard == ["works"] and app.last_request(), "the end has come")
        app.go.set()
        answer = await asyncio.wait_for(reader.read(), LIMIT_S)
        assert answer.startswith(b"HTTP/1.1 200")
        assert b"connection: close" in answer
        assert answer.endswith(b"/it 5")


async def test_every_pipelined_request_is_answered() -> None:
    async with connected() as (app, reader, writer):
        app.go.set()
        writer.write(GET % 1 + GET % 2 + GET % 3)
        writer.write_eof()
        answer = await asyncio.wait_for(reader.read(), LIMIT_S)
        assert answer.count(b"HTTP/1.1 200") == 3
        assert answer.endswith(b"/3 0")


@pytest.mark.parametrize("when", ["at once", "while it waits"])
async def test_who_waits_for_the_end_of_the_client_hears_it(when: str) -> None:
    async with connected() as (app, reader, writer):
        writer.write(b"GET /waits HTTP/1.1\r\nHost: x\r\n\r\n")
        if when == "while it waits":
            await wait_until(lambda: "waits" in app.heard, "it waits")
        writer.write_eof()
        await wait_until(lambda: app.heard[-1:] == ["gone"], "it hears")
        assert await asyncio.wait_for(reader.read(), LIMIT_S) == b""


async def test_request_that_breaks_off_is_not_answered() -> None:
    async with connected() as (app, reader, writer):
        writer.write(b"POST /it HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhel")
        await asyncio.sleep(0)
        writer.write_eof()
        assert await asyncio.wait_for(reader.read(), LIMIT_S) == b""
        assert app.heard in ([], ["broken off"])


async def test_without_a_request_nothing_stays_open() -> None:
    async with connected() as (_app, reader, writer):
        writer.write_eof()
        assert await asyncio.wait_for(reader.read(), LIMIT_S) == b""
    assert not half_close(None, lambda: None)


async def test_last_words_are_read_once() -> None:
    gone: list[bool] = []
    words = HalfCloseWatch(unread=True, gone=lambda: gone.append(True))
    assert words.is_set()
    assert await words.wait()
    assert not gone
    words.clear()
    words.set()
    assert not words.is_set()
    assert await words.wait()
    assert gone
