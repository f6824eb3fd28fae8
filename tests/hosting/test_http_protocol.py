"""The HTTP protocol for uvicorn: polls of one keep-alive connection, half-closed clients, and limits."""

import asyncio
import contextlib
import gzip
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
import uvloop
from hypothesis import given as hypothesis_given
from hypothesis import settings
from hypothesis import strategies as st
from uvicorn import Config
from uvicorn.server import ServerState
from websockets.asyncio.client import connect

from tests.support.engine_server import RunningEngine, run_engine
from tests.support.poll_connection import PollConnection, open_connection
from tests.support.timing import LIMIT_S, wait_until
from zmqio.config import HttpLimits
from zmqio.hosting.http_protocol import MAX_WAITING_BYTES, HttpProtocol

OPEN = "EIO=4&transport=polling"
UVICORN = tuple(int(part) for part in uvicorn.__version__.split(".")[:2])


class Polling:
    """A polling session and the connection that polls it."""

    def __init__(self, host: RunningEngine, connection: PollConnection, sid: str) -> None:
        self.host = host
        self.connection = connection
        self.query = f"{OPEN}&sid={sid}"
        self.session = host.connections[0].session

    async def begin(self) -> None:
        """Begin a poll on the connection and see it wait."""
        self.connection.request(self.query)
        await wait_until(lambda: self.session.transport.ready, "the poll to wait")

    async def poll(self, *messages: str | bytes) -> str:
        """Send `messages` and fetch them."""
        self.host.emit(*messages)
        return (await self.connection.get(self.query)).text


@asynccontextmanager
async def polling(*headers: str, **options: Any) -> AsyncIterator[Polling]:
    async with run_engine("uvicorn-fast", **options) as host, open_connection(host.port, *headers) as connection:
        opened = await connection.get(OPEN)
        polls = Polling(host, connection, json.loads(opened.text[1:])["sid"])
        assert await polls.poll("first") == "4first"
        yield polls


async def test_middleware_sees_every_poll() -> None:
    async with run_engine("uvicorn-fast") as host:
        serve, seen = host.engine.handle, []

        async def middleware(scope: Any, receive: Any, send: Any) -> None:
            seen.append(scope["method"])
            await serve(scope, receive, send)

        host.engine.handle = middleware  # type: ignore[method-assign]
        async with open_connection(host.port) as connection:
            sid = json.loads((await connection.get(OPEN)).text[1:])["sid"]
            for text in ("a", "b", "c"):
                host.emit(text)
                assert (await connection.get(f"{OPEN}&sid={sid}")).text == "4" + text
        assert seen == ["GET"] * 4


async def test_waiting_poll_is_answered_with_all_that_is_sent_in_one_turn() -> None:
    async with polling() as polls:
        await polls.begin()
        assert polls.host.engine.active_requests == 1
        polls.host.emit("a")
        polls.host.emit(b"\x01\x02\x03\x04")
        assert (await polls.connection.answer()).text == "4a\x1ebAQIDBA=="
        await wait_until(lambda: polls.host.engine.active_requests == 0, "the request to end")


@pytest.mark.parametrize(
    ("headers", "query", "version"),
    [
        (("X-Other: 1",), "", "1.1"),
        (("Cookie: a=b",), "", "1.1"),
        (("Connection: close",), "", "1.1"),
        ((), "&t=abc123", "1.1"),
        ((), "", "1.0"),
    ],
)
async def test_polls_of_one_connection_may_differ(headers: tuple[str, ...], query: str, version: str) -> None:
    async with polling() as polls:
        polls.host.emit("a")
        polls.connection.request(polls.query + query, *headers, version=version)
        assert (await polls.connection.answer()).text == "4a"


async def test_cross_origin_polls_always_get_their_headers() -> None:
    async with polling("Origin: http://here", cors_allowed_origins="http://here") as polls:
        for text in ("a", "b"):
            polls.host.emit(text)
            answer = await polls.connection.get(polls.query)
            assert (answer.text, answer.headers["access-control-allow-origin"]) == ("4" + text, "http://here")


async def test_posts_and_polls_share_a_connection() -> None:
    async with polling() as polls:
        polls.connection.request(polls.query, method="POST", body="4hi")
        assert (await polls.connection.answer()).text == "ok"
        assert await polls.poll("a") == "4a"
        assert polls.host.connections[0].messages == ["hi"]


async def test_pipelined_requests_are_answered_in_order() -> None:
    async with polling() as polls:
        await polls.begin()
        polls.connection.request("EIO=4&transport=polling&sid=none")
        polls.connection.request(polls.query)
        polls.host.emit("a")
        assert (await polls.connection.answer()).text == "4a"
        assert (await polls.connection.answer()).status == 400
        await wait_until(lambda: polls.session.transport.ready, "the second poll to wait")
        polls.host.emit("b")
        assert (await polls.connection.answer()).text == "4b"


async def test_session_of_a_client_that_goes_away_while_its_poll_waits_ends() -> None:
    async with polling() as polls:
        await polls.begin()
        polls.connection.drop()
        await wait_until(lambda: polls.host.connections[0].reasons == ["transport close"], "the session to end")
        await wait_until(lambda: polls.host.engine.active_requests == 0, "the request to end")


async def test_second_poll_at_the_same_time_ends_the_session() -> None:
    async with polling() as polls, open_connection(polls.host.port) as other:
        await polls.begin()
        assert (await other.get(polls.query)).status == 400
        assert (await polls.connection.answer()).text == "1"
        await wait_until(lambda: polls.host.connections[0].reasons == ["transport error"], "the reason")
        assert (await polls.connection.get(polls.query)).status == 400


async def test_large_answers_are_compressed_and_small_ones_are_not() -> None:
    async with polling("Accept-Encoding: gzip", compression_threshold_bytes=1000) as polls:
        for size in (2_000, 200_000):
            await polls.begin()
            polls.host.emit("x" * size)
            answer = await polls.connection.answer()
            assert answer.headers["content-encoding"] == "gzip"
            assert answer.headers["vary"] == "accept-encoding"
            assert gzip.decompress(answer.body).decode() == "4" + "x" * size
        polls.host.emit("small")
        assert "content-encoding" not in (await polls.connection.get(polls.query)).headers


async def test_probe_ends_a_waiting_poll_and_the_upgrade_refuses_the_next() -> None:
    async with polling() as polls:
        await polls.begin()
        async with connect(polls.host.websocket_url(polls.session.sid)) as websocket:
            await websocket.send("2probe")
            assert await websocket.recv() == "3probe"
            assert (await polls.connection.answer()).text == "6"
            await websocket.send("5")
            await wait_until(lambda: polls.session.transport_name == "websocket", "the upgrade")
            assert (await polls.connection.get(polls.query)).status == 400


async def test_upgrade_without_a_probe_refuses_a_waiting_poll() -> None:
    async with polling() as polls:
        await polls.begin()
        async with connect(polls.host.websocket_url(polls.session.sid)) as websocket:
            await websocket.send("5")
            assert (await polls.connection.answer()).status == 400
            polls.host.emit("a")
            assert await websocket.recv() == "4a"


async def test_close_packet_comes_alone_after_buffered_packets() -> None:
    async with polling() as polls:
        polls.host.emit("bye")
        polls.session.close_soon()
        assert (await polls.connection.get(polls.query)).text == "4bye"
        assert (await polls.connection.get(polls.query)).text == "1"
        await wait_until(lambda: polls.host.connections[0].reasons == ["forced close"], "the reason")


async def test_close_in_the_turn_of_the_last_message_answers_a_waiting_poll() -> None:
    async with polling() as polls:
        await polls.begin()
        polls.host.emit("bye")
        polls.session.close_soon()
        assert (await polls.connection.answer()).text == "4bye"
        assert (await polls.connection.get(polls.query)).text == "1"


async def test_engine_that_closes_sends_buffered_packets_to_a_waiting_poll() -> None:
    async with polling() as polls:
        await polls.begin()
        polls.host.emit("bye")
        await polls.host.engine.close()
        assert (await polls.connection.answer()).text == "4bye"
        assert (await polls.connection.get(polls.query)).status == 503
        assert polls.host.connections[0].reasons == ["server shutting down"]


async def test_tcp_nodelay_is_set_where_asyncio_does_not_recognise_tcp() -> None:
    connections = []

    async with run_engine("uvicorn-fast") as host:
        serve = host.engine.handle

        async def spy(scope: Any, receive: Any, send: Any) -> None:
            connections.append(send.__self__.transport.get_extra_info("socket"))
            await serve(scope, receive, send)

        host.engine.handle = spy  # type: ignore[method-assign]
        async with open_connection(host.port) as connection:
            await connection.get(OPEN)
            assert connections[0].getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@pytest.mark.parametrize("new_loop", [uvloop.new_event_loop, asyncio.new_event_loop])
def test_addresses_and_nodelay_are_the_same_on_both_event_loops(
    new_loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    async def work() -> None:
        seen: list[Any] = []
        async with run_engine("uvicorn-fast") as host:

            async def spy(scope: Any, receive: Any, send: Any) -> None:
                connection = send.__self__.transport.get_extra_info("socket")
                nodelay = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
                seen.append((scope["client"], scope["server"], scope["scheme"], bool(nodelay)))
                await send({"type": "http.response.start", "status": 200, "headers": []})
                await send({"type": "http.response.body", "body": b""})

            host.engine.handle = spy  # type: ignore[method-assign]
            reader, writer = await asyncio.open_connection("127.0.0.1", host.port)
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert await reader.readuntil(b"\r\n\r\n")
            client = writer.get_extra_info("sockname")
            writer.close()
            assert seen == [(client, ("127.0.0.1", host.port), "http", True)]

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(asyncio.wait_for(work(), LIMIT_S))


GET = b"GET /%d HTTP/1.1\r\nHost: x\r\n\r\n"


class HalfCloseApp:
    """Answers with the path and the size of the body after `go`; for /waits, waits for the disconnect."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.go = asyncio.Event()
        self.state = ServerState()

    def last_request(self) -> bool:
        """Whether the current request is the last one of its connection."""
        (protocol,) = self.state.connections
        cycle: Any = protocol.cycle  # type: ignore[union-attr]
        return not cycle.keep_alive

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        message = await receive()
        size = len(message["body"])
        while message["more_body"]:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.steps.append("disconnected early")
                return
            size += len(message["body"])
        if scope["path"] == "/waits":
            while message["type"] != "http.disconnect":
                self.steps.append("waits")
                message = await receive()
            self.steps.append("disconnected")
            return
        self.steps.append("works")
        await self.go.wait()
        body = f"{scope['path']} {size}".encode()
        headers = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[HalfCloseApp, asyncio.StreamReader, asyncio.StreamWriter]]:
    app = HalfCloseApp()
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
async def test_half_closed_client_gets_its_answer(when: str) -> None:
    async with connected() as (app, reader, writer):
        writer.write(b"POST /it HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello")
        if when == "while it works":
            await wait_until(lambda: app.steps == ["works"], "the handler to start")
        writer.write_eof()
        await wait_until(lambda: app.steps == ["works"] and app.last_request(), "the half-close to be handled")
        app.go.set()
        answer = await asyncio.wait_for(reader.read(), LIMIT_S)
        assert answer.startswith(b"HTTP/1.1 200")
        assert b"connection: close" in answer or UVICORN < (0, 53)  # older versions leave the header out
        assert answer.endswith(b"/it 5")


async def test_half_closed_client_gets_the_answers_to_all_pipelined_requests() -> None:
    async with connected() as (app, reader, writer):
        app.go.set()
        writer.write(GET % 1 + GET % 2 + GET % 3)
        writer.write_eof()
        answer = await asyncio.wait_for(reader.read(), LIMIT_S)
        assert answer.count(b"HTTP/1.1 200") == 3
        assert answer.endswith(b"/3 0")


@pytest.mark.parametrize("when", ["at once", "while it waits"])
async def test_application_that_waits_for_the_disconnect_gets_it_at_the_half_close(when: str) -> None:
    async with connected() as (app, reader, writer):
        writer.write(b"GET /waits HTTP/1.1\r\nHost: x\r\n\r\n")
        if when == "while it waits":
            await wait_until(lambda: "waits" in app.steps, "the handler to wait")
        writer.write_eof()
        await wait_until(lambda: app.steps[-1:] == ["disconnected"], "the disconnect")
        assert await asyncio.wait_for(reader.read(), LIMIT_S) == b""


async def test_half_closed_incomplete_request_is_not_answered() -> None:
    async with connected() as (app, reader, writer):
        writer.write(b"POST /it HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhel")
        await asyncio.sleep(0)
        writer.write_eof()
        assert await asyncio.wait_for(reader.read(), LIMIT_S) == b""
        assert app.steps in ([], ["disconnected early"])


async def test_connection_without_a_request_is_closed_when_the_client_half_closes() -> None:
    async with connected() as (_app, reader, writer):
        writer.write_eof()
        assert await asyncio.wait_for(reader.read(), LIMIT_S) == b""


# Limits of one connection.


class CountingApp:
    """Counts its requests; answers each with its path after `go`, /large with 4 MB."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, bytes, Any]] = []
        self.disconnects = 0
        self.go = asyncio.Event()
        self.state = ServerState()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.disconnects += 1
                return
            body, more = body + message["body"], message["more_body"]
        self.requests.append((scope["path"], body, scope["headers"]))
        await self.go.wait()
        answer = b"x" * 4_000_000 if scope["path"] == "/large" else scope["path"].encode()
        headers = [(b"content-length", str(len(answer)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": answer})

    @property
    def paths(self) -> list[str]:
        """Paths of the requests."""
        return [path for path, _, _ in self.requests]

    @property
    def protocol(self) -> Any:
        """The protocol object of the only connection."""
        (protocol,) = self.state.connections
        return protocol


async def early_answer(_scope: Any, _receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 400, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


async def test_idle_connection_is_closed_by_the_one_timer_that_its_first_answer_started() -> None:
    async with connected() as (app, reader, writer):
        app.go.set()
        for _ in range(2):
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await reader.readuntil(b"/ 0")).startswith(b"HTTP/1.1 200")
        (protocol,) = app.state.connections
        timer = protocol.timeout_keep_alive_task
        assert timer is not None
        protocol.timeout_keep_alive_handler()  # too early
        assert not protocol.transport.is_closing()
        protocol._idle_until_s -= protocol.timeout_keep_alive
        protocol.timeout_keep_alive_handler()
        assert protocol.transport.is_closing()


@asynccontextmanager
async def limited(
    app: Any = None, **given: Any
) -> AsyncIterator[tuple[CountingApp, asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection to a server with `limits`."""
    counting = CountingApp()
    config = Config(app or counting, http=HttpProtocol, log_config=None, access_log=False)
    config.load()

    class Limited(HttpProtocol):
        limits = HttpLimits(**given)

    server = await asyncio.get_running_loop().create_server(
        lambda: Limited(config, counting.state, {}), "127.0.0.1", 0
    )
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname(), limit=1 << 25)
        yield counting, reader, writer
        counting.go.set()
        writer.transport.abort()
        await wait_until(lambda: not counting.state.connections and not counting.state.tasks, "the end")


async def rest_of(reader: asyncio.StreamReader) -> bytes:
    """All that the server still sends, until it closes the connection."""
    return await asyncio.wait_for(reader.read(), LIMIT_S)


@pytest.mark.parametrize("before", [0, 2])
@pytest.mark.parametrize("piece", [b"a" * 60, b"A: b\r\n", b"\r\n"])
async def test_head_without_end_is_answered_431(before: int, piece: bytes) -> None:
    async with limited(max_head_bytes=2_000) as (app, reader, writer):
        app.go.set()
        for number in range(before):
            writer.write(GET % number)
            assert b" 200 " in await reader.readuntil(b"\r\n\r\n/%d" % number)
        writer.write((b"" if piece == b"\r\n" else b"GET / HTTP/1.1\r\n") + piece * (2_000 // len(piece) + 1))
        answer = await rest_of(reader)
        assert answer.startswith(b"HTTP/1.1 431 ")
        assert b"larger than 2000 bytes" in answer
        assert len(app.requests) == before


async def test_head_of_the_largest_size_is_served() -> None:
    async with limited(max_head_bytes=2_000) as (app, reader, writer):
        app.go.set()
        head = b"GET /1 HTTP/1.1\r\nHost: x\r\nA: \r\n\r\n"
        for _ in range(2):
            writer.write(head.replace(b"A: ", b"A: " + b"a" * (2_000 - len(head))))
            assert b" 200 " in await reader.readuntil(b"\r\n\r\n/1")
        writer.write(head.replace(b"A: ", b"A: " + b"a" * (2_001 - len(head))))
        assert (await rest_of(reader)).startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize("before", [0, 2])
async def test_slow_head_is_answered_408_though_bytes_keep_coming(before: int) -> None:
    async with limited(head_limit_s=0.3) as (app, reader, writer):
        app.go.set()
        for number in range(before):
            writer.write(GET % number)
            assert b" 200 " in await reader.readuntil(b"\r\n\r\n/%d" % number)
        answer = asyncio.create_task(rest_of(reader))
        writer.write(b"GET / HTTP/1.1\r\nA: ")
        while not answer.done():
            writer.write(b"a")
            await asyncio.sleep(0.02)
        assert answer.result().startswith(b"HTTP/1.1 408 ")
        assert b"within 0.3 seconds" in answer.result()


async def test_connection_without_a_request_is_closed() -> None:
    async with limited(head_limit_s=0.1) as (_, reader, _writer):
        assert await rest_of(reader) == b""


@pytest.mark.parametrize("end", [b"", b"x" * 10])
async def test_unread_body_behind_an_answer_ends_in_time(end: bytes) -> None:
    async with limited(early_answer, head_limit_s=0.3) as (_, reader, writer):
        writer.write(b"POST / HTTP/1.1\r\nContent-Length: 1000\r\n\r\n")
        assert b" 400 " in await reader.readuntil(b"\r\n\r\n")
        closed = asyncio.create_task(rest_of(reader))
        while not closed.done():
            writer.write(end)
            await asyncio.sleep(0.02)
        with contextlib.suppress(ConnectionResetError):  # what was written behind the end resets the connection
            assert closed.result() == b""


async def test_unread_body_that_ends_in_time_is_followed_by_the_next_request() -> None:
    async with limited(early_answer) as (_, reader, writer):
        writer.write(b"POST / HTTP/1.1\r\nContent-Length: 1000\r\n\r\n")
        assert b" 400 " in await reader.readuntil(b"\r\n\r\n")
        writer.write(b"x" * 1000 + GET % 2)
        assert b" 400 " in await reader.readuntil(b"\r\n\r\n")


@pytest.mark.parametrize("start", [b"0\r\n", b"3;", b"3\r\nabc\r\n0\r\nB: c\r\n"])
async def test_trailers_and_chunk_extensions_without_end_are_answered_431(start: bytes) -> None:
    async with limited(max_head_bytes=2_000) as (app, reader, writer):
        writer.write(b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + start)
        closed = asyncio.create_task(rest_of(reader))
        while not closed.done():
            writer.write(b"a" * 100)
            await asyncio.sleep(0)
        assert closed.result().startswith(b"HTTP/1.1 431 ")
        assert app.requests == []
        await wait_until(lambda: app.disconnects == 1, "the disconnect")


async def test_trailers_do_not_become_headers() -> None:
    async with limited() as (app, reader, writer):
        app.go.set()
        writer.write(b"POST /1 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
        writer.write(b"1\r\na\r\n" * 5_000 + b"0\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n" + GET % 2)
        await reader.readuntil(b"\r\n\r\n/2")
        (_, body, headers), _ = app.requests
        assert body == b"a" * 5_000
        assert headers == [(b"transfer-encoding", b"chunked")]


@pytest.mark.parametrize("field", [b"A: b\r\n", b"X-Forwarded-For: " + b"1.2.3.4," * 20 + b"\r\n"])
async def test_too_many_fields_are_answered_431(field: bytes) -> None:
    async with limited() as (app, reader, writer):
        writer.write(b"GET / HTTP/1.1\r\n" + field * 101 + b"\r\n")
        assert (await rest_of(reader)).startswith(b"HTTP/1.1 431 ")
        assert app.requests == []


async def test_reading_stops_while_a_request_is_under_way() -> None:
    async with limited() as (app, reader, writer):
        count = 200_000
        writer.write(b"".join(GET % 7 for _ in range(count)))
        await wait_until(lambda: app.protocol._is_paused, "reading to stop")
        for _ in range(20):
            await asyncio.sleep(0)
        assert len(app.requests) == 1
        assert len(app.protocol._waiting) <= (1 << 18) + MAX_WAITING_BYTES
        assert writer.transport.get_write_buffer_size() > 0  # type: ignore[attr-defined]
        app.go.set()
        for _ in range(1_000):
            await reader.readuntil(b"\r\n\r\n/7")


async def test_few_requests_behind_one_do_not_hide_that_the_client_goes() -> None:
    async with connected() as (app, _reader, writer):
        writer.write(b"GET /waits HTTP/1.1\r\nHost: x\r\n\r\n" + GET % 2)
        await wait_until(lambda: "waits" in app.steps, "the handler to wait")
        writer.transport.abort()
        await wait_until(lambda: app.steps[-1:] == ["disconnected"], "the disconnect")


async def test_half_closed_client_with_requests_behind_a_waiting_one_is_disconnected() -> None:
    async with connected() as (app, reader, writer):
        writer.write(b"GET /waits HTTP/1.1\r\nHost: x\r\n\r\n" + GET % 2)
        await wait_until(lambda: "waits" in app.steps, "the handler to wait")
        writer.write_eof()
        await wait_until(lambda: app.steps[-1:] == ["disconnected"], "the disconnect")
        assert await rest_of(reader) == b""


async def test_answers_that_are_not_read_stop_the_requests_and_end_the_connection() -> None:
    async with limited(write_timeout_s=0.3) as (app, reader, writer):
        app.go.set()
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(b"GET /large HTTP/1.1\r\n\r\n" * 200)
        await wait_until(lambda: not app.state.connections, "the end of the connection")
        assert len(app.requests) <= 5


async def read_slowly(write_timeout_s: float) -> bytes:
    """Read two answers, for longer than `write_timeout_s`; what arrives before the connection ends."""
    async with limited(write_timeout_s=write_timeout_s) as (app, reader, writer):
        app.go.set()
        writer.write(b"GET /large HTTP/1.1\r\n\r\n" + GET % 2)
        answers = b""
        while not answers.endswith(b"/2"):
            piece = b""
            with contextlib.suppress(ConnectionResetError):
                piece = await asyncio.wait_for(reader.read(200_000), LIMIT_S)
            if not piece:
                break
            answers += piece
            await asyncio.sleep(write_timeout_s / 15)
        return answers


async def test_slow_reader_keeps_its_connection() -> None:
    for write_timeout_s in (0.3, 3.0):  # a longer one, if this process was too slow to read in time
        answers = await read_slowly(write_timeout_s)
        if answers.endswith(b"/2"):
            break
    assert len(answers) > 4_000_000
    assert answers.endswith(b"/2")


@pytest.mark.parametrize("offer", [b"h2c", b"TLS/1.0", b"websocket2"])
@pytest.mark.parametrize(
    "body", [b"Content-Length: 3\r\n\r\nabc", b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"]
)
async def test_offer_to_upgrade_is_ignored_and_the_body_kept(offer: bytes, body: bytes) -> None:
    async with limited() as (app, reader, writer):
        app.go.set()
        request = b"POST /%d HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: " + offer + b"\r\n" + body
        writer.write(request % 1 + request % 2 + GET % 3)
        await reader.readuntil(b"\r\n\r\n/3")
        assert [(path, body) for path, body, _ in app.requests] == [("/1", b"abc"), ("/2", b"abc"), ("/3", b"")]


async def test_malformed_request_is_answered_400() -> None:
    async with limited() as (app, reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nno colon\r\n\r\n")
        assert (await rest_of(reader)).startswith(b"HTTP/1.1 400 ")
        assert app.requests == []


REQUESTS = [
    b"GET /a?b HTTP/1.1\r\nHost: x\r\n\r\n",
    b"\r\nGET  /b HTTP/1.1\r\n\r\n",
    b"POST /c HTTP/1.1\r\nContent-Length: 13\r\n\r\nab\r\n\r\nGET /\r\n",
    b"POST /d HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n\r\n\r\n\r\n2;e=f\r\nab\r\n0\r\nT: u\r\n\r\n",
    b"POST /e HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\nab",
    b"POST /f HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
]
BODIES = [b"", b"", b"ab\r\n\r\nGET /\r\n", b"\r\n\r\nab", b"ab", b""]


@settings(max_examples=30, deadline=None)
@hypothesis_given(
    st.lists(st.integers(0, len(REQUESTS) - 1), min_size=1, max_size=8), st.lists(st.integers(1, 60))
)
def test_requests_do_not_depend_on_the_pieces_in_which_they_come(chosen: list[int], sizes: list[int]) -> None:
    async def run() -> list[tuple[str, bytes]]:
        async with limited() as (app, _reader, writer):
            app.go.set()
            await wait_until(lambda: bool(app.state.connections), "the connection")
            data, protocol = b"".join(REQUESTS[number] for number in chosen), app.protocol
            for size in (*sizes, len(data)):
                if data[:size]:
                    protocol.data_received(data[:size])
                data = data[size:]
                await asyncio.sleep(0)
            await wait_until(lambda: len(app.requests) == len(chosen), "the requests")
            writer.close()
            return [(path, body) for path, body, _ in app.requests]

    assert asyncio.run(run()) == [("/" + "abcdef"[number], BODIES[number]) for number in chosen]
