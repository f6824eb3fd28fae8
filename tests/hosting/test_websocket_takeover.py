"""A connection with a parsed opening request is served as one whose request `websockets` parses.

A request in which one header appears twice is left to `websockets`. Each test sends it both ways.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import pytest
import uvicorn
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from tests.support.timing import LIMIT_S, wait_until
from tests.support.websocket_frames import CLOSE, PING, PONG, TEXT, FrameClient, frame
from zmqio.hosting import http_protocol
from zmqio.hosting.http_protocol import HttpProtocol
from zmqio.hosting.websocket_protocol import WebSocketProtocol
from zmqio.hosting.websocket_takeover import scope_template

OPENING = (
    "GET /a%20b/%C3%A4?x=1&y=%20 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Extensions: permessage-deflate\r\nCookie: a=b; c=d\r\nX-Twice: 1\r\n"
)
PARSED = f"{OPENING}\r\n"
UNPARSED = f"{OPENING}X-Twice: 1\r\n\r\n"

App = Callable[[Any, Any, Any], Awaitable[None]]


@dataclass
class Host:
    """A server in this process.

    Attributes:
        port: of the server.
        accepted: whether each request was accepted as parsed, in order.
    """

    port: int
    accepted: list[bool] = field(default_factory=list)


@asynccontextmanager
async def serving(app: App, monkeypatch: pytest.MonkeyPatch, **options: Any) -> AsyncIterator[Host]:
    """Serve an app with zmqio's protocol classes."""
    host = Host(0)
    accept_value = http_protocol.accept_value

    def spy(target: bytes, headers: Any) -> bytes | None:
        value = accept_value(target, headers)
        host.accepted.append(value is not None)
        return value

    monkeypatch.setattr(http_protocol, "accept_value", spy)
    config = uvicorn.Config(
        app,
        host="127.0.0.1",
        port=0,
        http=HttpProtocol,
        ws=options.pop("ws", WebSocketProtocol),
        lifespan="off",
        log_config=None,
        **options,
    )
    server = uvicorn.Server(config)
    server.capture_signals = nullcontext  # type: ignore[method-assign, assignment]
    task = asyncio.ensure_future(server.serve())
    await wait_until(lambda: server.started, "uvicorn to start")
    host.port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield host
    finally:
        server.should_exit = True
        await asyncio.wait_for(task, LIMIT_S)


async def answer(port: int, request: str, *, reads_all: bool) -> bytes:
    """The head of the answer, or all of it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request.encode())
        async with asyncio.timeout(LIMIT_S):
            return await (reader.read() if reads_all else reader.readuntil(b"\r\n\r\n"))
    finally:
        writer.close()


def lines_of(received: bytes) -> list[bytes]:
    """The lines of an answer without the date, in one order."""
    return sorted(line for line in received.split(b"\r\n") if not line.lower().startswith(b"date:"))


async def accepts(receive: Any, send: Any) -> None:
    await send({"type": "websocket.accept"})
    await receive()


async def accepts_with_headers(receive: Any, send: Any) -> None:
    await send({"type": "websocket.accept", "headers": [(b"X-One", b"1"), (b"X-Two", b"2")]})
    await receive()


async def accepts_with_subprotocol(receive: Any, send: Any) -> None:
    await send({"type": "websocket.accept", "subprotocol": "chat"})
    await receive()


async def accepts_with_unsafe_header(receive: Any, send: Any) -> None:
    await send({"type": "websocket.accept", "headers": [(b"X-One", b"1\r\nX-Two: 2")]})


async def closes(receive: Any, send: Any) -> None:
    await send({"type": "websocket.close"})


async def responds(receive: Any, send: Any) -> None:
    await send({"type": "websocket.http.response.start", "status": 418, "headers": [(b"x-one", b"1")]})
    await send({"type": "websocket.http.response.body", "body": b"short"})


async def accepts_behind_a_response(receive: Any, send: Any) -> None:
    await responds(receive, send)
    await accepts(receive, send)


async def returns(receive: Any, send: Any) -> None: ...


async def fails(receive: Any, send: Any) -> None:
    raise ValueError("of the application")


OPENS = (accepts, accepts_with_headers, accepts_with_subprotocol)
ENDS = (accepts_with_unsafe_header, closes, responds, accepts_behind_a_response, returns, fails)


@pytest.mark.parametrize("behaviour", [*OPENS, *ENDS])
async def test_scope_answer_and_log_are_those_of_a_request_that_websockets_parses(
    behaviour: Callable[[Any, Any], Awaitable[None]],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    scopes: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scopes.append(scope)
        assert await receive() == {"type": "websocket.connect"}
        await behaviour(receive, send)

    answers, logs = [], []
    caplog.set_level(logging.INFO, logger="uvicorn.error")
    async with serving(app, monkeypatch, headers=[("X-Server", "1")]) as host:
        for request in (PARSED, UNPARSED):
            caplog.clear()
            answers.append(lines_of(await answer(host.port, request, reads_all=behaviour in ENDS)))
            logs.append([(each.levelname, each.getMessage().split(" - ")[-1]) for each in caplog.records])
    assert host.accepted == [True, False]
    assert answers[0] == answers[1]
    assert (b"HTTP/1.1 101 Switching Protocols" in answers[0]) == (behaviour in OPENS)
    assert logs[0] == logs[1]
    parsed, unparsed = scopes
    assert unparsed.pop("headers") == [*parsed.pop("headers"), (b"x-twice", b"1")]
    assert unparsed.pop("client")[0] == parsed.pop("client")[0]
    assert unparsed.pop("extensions").keys() == parsed.pop("extensions").keys()
    assert parsed == unparsed
    assert parsed["path"] == "/a b/ä"


async def answered(monkeypatch: pytest.MonkeyPatch, **options: Any) -> Host:
    """Send a request in the usual form to an app that accepts."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await accepts(receive, send)

    async with serving(app, monkeypatch, **options) as host:
        assert b" 101 " in await answer(host.port, PARSED, reads_all=False)
    return host


async def test_websockets_parses_the_request_below_a_root_path(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await answered(monkeypatch, root_path="/mounted")).accepted == []


async def test_websockets_parses_the_request_for_another_class(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await answered(monkeypatch, ws="websockets-sansio")).accepted == []


@pytest.fixture
def unread() -> Iterator[None]:
    """No template is cached before and after the test."""
    scope_template.cache_clear()
    yield
    scope_template.cache_clear()


@pytest.mark.usefixtures("unread")
async def test_websockets_parses_the_request_if_uvicorn_makes_other_scopes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    handle_connect = WebSocketsSansIOProtocol.handle_connect

    def with_another_key(self: Any, event: Any) -> None:
        handle_connect(self, event)
        self.scope["another"] = 1

    monkeypatch.setattr(WebSocketsSansIOProtocol, "handle_connect", with_another_key)
    assert scope_template() is None
    assert (await answered(monkeypatch)).accepted == []


@pytest.mark.usefixtures("unread")
def test_uvicorn_without_a_name_has_no_template(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(WebSocketsSansIOProtocol, "handle_connect")
    assert scope_template() is None


async def test_frames_pings_and_the_closing_handshake_work(monkeypatch: pytest.MonkeyPatch) -> None:
    received: list[Any] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": message["text"]})
        received.append(message)

    async with serving(app, monkeypatch, ws_ping_interval=0.05) as host:
        for request in (PARSED, UNPARSED):
            reader, writer = await asyncio.open_connection("127.0.0.1", host.port)
            writer.write(request.encode() + frame(TEXT, b"early"))
            async with asyncio.timeout(LIMIT_S):
                await reader.readuntil(b"\r\n\r\n")
            client = FrameClient(reader, writer)
            seen = dict([await client.receive() for _ in range(2)])
            assert seen[TEXT] == b"early"
            assert PING in seen  # of uvicorn
            writer.write(frame(PONG, b"unasked") + frame(CLOSE, (1001).to_bytes(2, "big")))
            assert await client.close_code() == 1001
            writer.close()
    assert host.accepted == [True, False]
    assert [message["code"] for message in received] == [1001, 1001]


@pytest.mark.parametrize(
    ("request_text", "status"),
    [
        (PARSED.replace("GET", "POST"), b"405"),
        (PARSED.replace("Version: 13", "Version: 12"), b"400"),
        (PARSED.replace("dGhlIHNhbXBsZSBub25jZQ==", "short"), b"400"),
        (PARSED.replace("Cookie: a=b; c=d", "Sec-WebSocket-Protocol: ,a b"), b"400"),
    ],
)
async def test_refusals_are_those_of_websockets(
    request_text: str, status: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        pytest.fail("the application was called")

    async with serving(app, monkeypatch) as host:
        received = await answer(host.port, request_text, reads_all=True)
    assert received.split(b" ", 2)[1] == status
    assert True not in host.accepted
