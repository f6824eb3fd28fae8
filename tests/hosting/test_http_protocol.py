"""The HTTP protocol for uvicorn: which polls take the short cut, and that nobody can tell by the answers."""

import gzip
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from structlog.testing import capture_logs
from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState
from websockets.asyncio.client import connect

from tests.support.engine_server import RunningEngine, run_engine
from tests.support.poll_connection import PollConnection, open_connection
from tests.support.timing import wait_until
from zmqio.engine.http_exchange import EXTENSION
from zmqio.hosting.http_protocol import HttpProtocol

OPEN = "EIO=4&transport=polling"


class Polling:
    """A polling session, a connection on which its short cut is known, and a count of what ASGI has seen."""

    def __init__(self, host: RunningEngine, connection: PollConnection, sid: str) -> None:
        self.host = host
        self.connection = connection
        self.query = f"{OPEN}&sid={sid}"
        self.session = host.connections[0].session
        self.through_asgi = 0
        self.wires: list[HttpProtocol] = []
        serve = host.engine.handle

        async def count(scope: Any, receive: Any, send: Any) -> None:
            self.through_asgi += 1
            if scope["type"] == "http":
                self.wires.append(scope["extensions"][EXTENSION])
            await serve(scope, receive, send)

        host.engine.handle = count  # type: ignore[method-assign]

    async def park(self) -> None:
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
        assert polls.through_asgi == 1
        yield polls


def test_what_is_extended_exists_in_uvicorn() -> None:
    names = ["on_message_begin", "on_headers_complete", "on_response_complete", "connection_lost"]
    assert [name for name in names if not hasattr(HttpToolsProtocol, name)] == []


async def test_what_is_used_exists_in_uvicorn() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None: ...

    protocol = HttpProtocol(Config(app, log_config=None), ServerState(), {})
    for name in ("access_log", "cycle", "flow", "limit_concurrency", "parser", "root_path", "server_state"):
        assert hasattr(protocol, name), name


async def test_further_polls_of_a_connection_do_without_asgi() -> None:
    async with polling() as polls:
        assert [await polls.poll(text) for text in ("a", "b")] == ["4a", "4b"]
        assert polls.through_asgi == 1


async def test_answer_is_the_same_either_way() -> None:
    async with polling() as polls, open_connection(polls.host.port) as other:
        polls.host.emit("x")
        slow = await other.get(polls.query)
        polls.host.emit("x")
        fast = await polls.connection.get(polls.query)
        assert polls.through_asgi == 2
        dates = [answer.headers.pop("date", None) for answer in (slow, fast)]
        assert None not in dates
        assert fast == slow


async def test_poll_that_waits_is_answered_with_all_that_is_sent_in_one_turn() -> None:
    async with polling() as polls:
        await polls.park()
        assert polls.host.engine.active_requests == 1
        polls.host.emit("a")
        polls.host.emit(b"\x01\x02\x03\x04")
        assert (await polls.connection.answer()).text == "4a\x1ebAQIDBA=="
        assert polls.through_asgi == 1
        assert polls.host.engine.active_requests == 0


async def test_parameter_that_makes_every_url_new_does_not_matter() -> None:
    async with polling() as polls:
        polls.host.emit("a")
        assert (await polls.connection.get(f"{polls.query}&t=abc123")).text == "4a"
        assert polls.through_asgi == 1


@pytest.mark.parametrize(
    ("headers", "query", "version"),
    [
        (("X-Other: 1",), "", "1.1"),
        (("Cookie: a=b",), "", "1.1"),
        (("Origin: http://x",), "", "1.1"),
        (("Connection: close",), "", "1.1"),
        ((), "&more=1", "1.1"),
        ((), "", "1.0"),
    ],
)
async def test_poll_that_differs_comes_in_through_asgi(headers: tuple[str, ...], query: str, version: str) -> None:
    async with polling() as polls:
        polls.host.emit("a")
        polls.connection.request(polls.query + query, *headers, version=version)
        assert (await polls.connection.answer()).text == "4a"
        assert polls.through_asgi == 2


async def test_cross_origin_polls_always_get_their_headers() -> None:
    async with polling("Origin: http://here", cors_allowed_origins="http://here") as polls:
        for text in ("a", "b"):
            polls.host.emit(text)
            answer = await polls.connection.get(polls.query)
            assert (answer.text, answer.headers["access-control-allow-origin"]) == ("4" + text, "http://here")
        assert polls.through_asgi == 3


async def test_cookies_are_no_obstacle() -> None:
    async with polling("Cookie: io=abc; other=1", cookie="io") as polls:
        assert await polls.poll("a") == "4a"
        assert polls.through_asgi == 1


async def test_middleware_that_wraps_answers_sees_every_poll() -> None:
    async with run_engine("uvicorn-fast") as host:
        serve, seen = host.engine.handle, []

        async def middleware(scope: Any, receive: Any, send: Any) -> None:
            async def marked(message: Any) -> None:
                await send(message)

            seen.append(scope["method"])
            await serve(scope, receive, marked)

        host.engine.handle = middleware  # type: ignore[method-assign]
        async with open_connection(host.port) as connection:
            sid = json.loads((await connection.get(OPEN)).text[1:])["sid"]
            for text in ("a", "b", "c"):
                host.emit(text)
                assert (await connection.get(f"{OPEN}&sid={sid}")).text == "4" + text
        assert len(seen) == 4


async def test_posts_between_polls_go_through_asgi() -> None:
    async with polling() as polls:
        polls.connection.request(polls.query, method="POST", body="4hi")
        assert (await polls.connection.answer()).text == "ok"
        assert await polls.poll("a") == "4a"
        assert polls.through_asgi == 2
        assert polls.host.connections[0].messages == ["hi"]


async def test_pipelined_requests_are_answered_in_order() -> None:
    async with polling() as polls:
        await polls.park()
        polls.connection.request("EIO=4&transport=polling&sid=none")
        polls.connection.request(polls.query)
        polls.host.emit("a")
        assert (await polls.connection.answer()).text == "4a"
        assert (await polls.connection.answer()).status == 400
        await wait_until(lambda: polls.session.transport.ready, "the second poll to wait")
        polls.host.emit("b")
        assert (await polls.connection.answer()).text == "4b"


async def test_client_that_goes_away_while_its_poll_waits_loses_nothing() -> None:
    async with polling() as polls:
        await polls.park()
        polls.connection.drop()
        await wait_until(lambda: not polls.session.transport.ready, "the poll to be given up")
        assert polls.host.engine.active_requests == 0
        polls.host.emit("a")
        async with open_connection(polls.host.port) as other:
            assert (await other.get(polls.query)).text == "4a"
        assert polls.host.connections[0].reasons == []


async def test_second_poll_at_the_same_time_ends_the_session() -> None:
    async with polling() as polls, open_connection(polls.host.port) as other:
        await polls.park()
        assert (await other.get(polls.query)).status == 400
        assert (await polls.connection.answer()).text == "1"
        await wait_until(lambda: polls.host.connections[0].reasons == ["transport error"], "the reason")
        assert (await polls.connection.get(polls.query)).status == 400


async def test_short_cut_that_overlaps_a_poll_through_asgi_ends_the_session() -> None:
    async with polling() as polls, open_connection(polls.host.port) as other:
        other.request(polls.query)
        await wait_until(lambda: polls.session.transport.ready, "the poll to wait")
        assert (await polls.connection.get(polls.query)).status == 400
        assert (await other.answer()).text == "1"


async def test_large_answers_are_compressed() -> None:
    async with polling("Accept-Encoding: gzip", compression_threshold_bytes=1000) as polls:
        for size in (2_000, 200_000):
            await polls.park()
            polls.host.emit("x" * size)
            answer = await polls.connection.answer()
            assert answer.headers["content-encoding"] == "gzip"
            assert answer.headers["vary"] == "accept-encoding"
            assert gzip.decompress(answer.body).decode() == "4" + "x" * size
        assert "content-encoding" not in (await _small(polls)).headers
        assert polls.through_asgi == 1


async def _small(polls: Polling) -> Any:
    polls.host.emit("small")
    return await polls.connection.get(polls.query)


async def test_probe_ends_a_poll_that_waits_and_the_upgrade_refuses_the_next() -> None:
    async with polling() as polls:
        await polls.park()
        async with connect(polls.host.websocket_url(polls.session.sid)) as socket:
            await socket.send("2probe")
            assert await socket.recv() == "3probe"
            assert (await polls.connection.answer()).text == "6"
            await socket.send("5")
            await wait_until(lambda: polls.session.transport_name == "websocket", "the upgrade")
            assert (await polls.connection.get(polls.query)).status == 400


async def test_upgrade_without_a_probe_refuses_a_poll_that_waits() -> None:
    async with polling() as polls:
        await polls.park()
        async with connect(polls.host.websocket_url(polls.session.sid)) as socket:
            await socket.send("5")
            assert (await polls.connection.answer()).status == 400
            polls.host.emit("a")
            assert await socket.recv() == "4a"


async def test_close_packet_comes_alone_after_what_waits() -> None:
    async with polling() as polls:
        polls.host.emit("bye")
        polls.session.close_soon()
        assert (await polls.connection.get(polls.query)).text == "4bye"
        assert (await polls.connection.get(polls.query)).text == "1"
        await wait_until(lambda: polls.host.connections[0].reasons == ["forced close"], "the reason")


async def test_close_in_the_turn_of_the_last_message_answers_a_poll_that_waits() -> None:
    async with polling() as polls:
        await polls.park()
        polls.host.emit("bye")
        polls.session.close_soon()
        assert (await polls.connection.answer()).text == "4bye"
        assert (await polls.connection.get(polls.query)).text == "1"


async def test_engine_that_closes_says_all_it_has_to_a_poll_that_waits() -> None:
    async with polling() as polls:
        await polls.park()
        polls.host.emit("bye")
        await polls.host.engine.close()
        assert (await polls.connection.answer()).text == "4bye"
        assert (await polls.connection.get(polls.query)).status == 503
        assert polls.host.connections[0].reasons == ["server shutting down"]


async def test_uvicorn_that_lacks_something_leaves_every_poll_to_asgi(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zmqio.hosting.http_protocol._NEEDED", ("no_such_thing",))
    with capture_logs() as logs:
        async with polling() as polls:
            assert await polls.poll("a") == "4a"
            assert polls.through_asgi == 2
    assert {(entry["event"], *entry["missing"]) for entry in logs} == {
        ("fast_polling_unavailable", "no_such_thing")
    }


async def test_connection_is_closed_after_the_answer_once_uvicorn_shuts_down() -> None:
    async with polling() as polls:
        await polls.park()
        polls.wires[0].shutdown()  # as uvicorn calls it
        polls.host.emit("a")
        answer = await polls.connection.answer()
        assert (answer.text, answer.headers["connection"]) == ("4a", "close")
        assert await polls.connection.ended()


async def test_small_packets_do_not_wait_on_a_connection_that_asyncio_does_not_know_for_tcp() -> None:
    async with polling() as polls:
        await polls.poll("x")
        connection = polls.wires[0].transport.get_extra_info("socket")
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
