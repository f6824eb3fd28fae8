"""One request under uvicorn: its messages to the application, and the bytes of its response."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import pytest
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from zmqio.hosting.request_cycle import JOIN_BYTES, ConnectionFlow, RequestCycle, refuse_request

LENGTH = (b"content-length", b"2")


class Connection:
    """A connection's protocol and transport."""

    def __init__(self, method: str = "GET", *, expects_100: bool = False) -> None:
        self.written: list[bytes] = []
        self.is_closed = self.is_complete = False
        transport: Any = self
        self.transport = transport
        self.flow: Any = ConnectionFlow(transport)
        self.scope: dict[str, Any] = {
            "headers": [],
            "client": ("127.0.0.1", 5),
            "method": method,
            "path": "/a b",
            "query_string": b"c=d",
            "http_version": "1.1",
        }
        self.expect_100_continue = expects_100
        self.access_log = False
        self.access_logger = self.logger = logging.getLogger("test")
        self.server_state = SimpleNamespace(default_headers=[(b"server", b"x")])

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def close(self) -> None:
        self.is_closed = True

    def is_closing(self) -> bool:
        return self.is_closed

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def on_response_complete(self) -> None:
        self.is_complete = True

    def cycle(self, *, keep_alive: bool = True) -> RequestCycle:
        return RequestCycle(self, keep_alive=keep_alive)

    def uvicorns_cycle(self, *, keep_alive: bool = True) -> RequestResponseCycle:
        return RequestResponseCycle(
            scope=self.scope,  # type: ignore[arg-type]
            transport=self.transport,
            flow=FlowControl(self.transport),
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=self.access_log,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=keep_alive,
            on_response=self.on_response_complete,
        )


def start(*headers: tuple[bytes, bytes], status: int = 200) -> dict[str, Any]:
    return {"type": "http.response.start", "status": status, "headers": list(headers)}


def body(data: bytes = b"", *, more: bool = False) -> dict[str, Any]:
    return {"type": "http.response.body", "body": data, "more_body": more}


def app_that_sends(messages: Sequence[Mapping[str, Any]]) -> Any:
    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        for message in messages:
            await send(message)

    return app


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("keep_alive", [True, False])
@pytest.mark.parametrize(
    "messages",
    [
        [start(LENGTH), body(b"ok")],
        [start(LENGTH), body(b"o", more=True), body(b"k")],
        [start((b"Content-Length", b"2"), (b"X-Y", b"z")), body(b"ok")],
        [start(), body(b"chunk", more=True), body(b"", more=True), body(b"last")],
        [start(), body()],
        [start(LENGTH, (b"connection", b"close")), body(b"ok")],
        [start((b"transfer-encoding", b"chunked")), body(b"ok")],
        [start(LENGTH), body(b"too long")],
        [start(LENGTH), body(b"s")],
        [start((b"bad name", b"")), body()],
        [start((b"x", b"line\r\nbreak")), body()],
        [start(status=204), body()],
        [start((b"content-length", b"0"), status=599), body()],
        [body(b"without a head")],
        [start(LENGTH), body(b"ok"), body(b"behind the end")],
        [start(LENGTH)],
        [],
    ],
)
async def test_response_is_that_of_uvicorn(
    messages: Sequence[Mapping[str, Any]], keep_alive: bool, method: str
) -> None:
    ours, uvicorns = Connection(method), Connection(method)
    uvicorns.scope["headers"] = [] if keep_alive else [(b"connection", b"close")]  # read by older releases
    await ours.cycle(keep_alive=keep_alive).run_asgi(app_that_sends(messages))
    await uvicorns.uvicorns_cycle(keep_alive=keep_alive).run_asgi(app_that_sends(messages))
    assert (ours.is_closed, ours.is_complete) == (uvicorns.is_closed, uvicorns.is_complete)
    if uvicorns.is_complete:
        assert b"".join(ours.written) == b"".join(uvicorns.written)


async def test_connection_header_of_the_application_closes_in_any_case() -> None:
    ours = Connection("GET")
    await ours.cycle().run_asgi(app_that_sends([start(LENGTH, (b"Connection", b"Close")), body(b"ok")]))
    assert ours.is_closed
    assert b"".join(ours.written).lower().count(b"connection: close") == 1


async def test_head_is_sent_with_the_first_part_of_the_body() -> None:
    connection = Connection()
    cycle = connection.cycle()
    await cycle.send(start(LENGTH))
    assert connection.written == []
    await cycle.send(body(b"ok"))
    assert connection.written == [b"HTTP/1.1 200 OK\r\nserver: x\r\ncontent-length: 2\r\n\r\nok"]


async def test_large_body_is_not_copied_behind_the_head() -> None:
    connection, data = Connection(), bytes(JOIN_BYTES + 1)
    cycle = connection.cycle()
    await cycle.send(start((b"content-length", b"%d" % len(data))))
    await cycle.send(body(data))
    assert connection.written[1] is data


async def test_body_arrives_in_parts_and_then_the_disconnect() -> None:
    cycle = Connection().cycle()
    for data in (b"a", b"b", b"c"):
        cycle.add_body(data)
    assert await cycle.receive() == {"type": "http.request", "body": b"abc", "more_body": True}
    waiting = asyncio.ensure_future(cycle.receive())
    await asyncio.sleep(0)
    cycle.more_body = False
    cycle.message_event.set()
    assert await waiting == {"type": "http.request", "body": b"", "more_body": False}
    cycle.disconnected = True
    assert await cycle.receive() == {"type": "http.disconnect"}


async def test_client_that_waits_for_100_gets_it_once_the_body_is_wanted() -> None:
    connection = Connection("POST", expects_100=True)
    cycle = connection.cycle()
    cycle.message_event.set()
    await cycle.receive()
    cycle.message_event.set()
    await cycle.receive()
    assert connection.written == [b"HTTP/1.1 100 Continue\r\n\r\n"]


async def test_send_waits_while_the_connection_takes_no_data() -> None:
    connection = Connection()
    cycle = connection.cycle()
    connection.flow.pause_writing()
    sending = asyncio.ensure_future(cycle.send(start(LENGTH)))
    await asyncio.sleep(0)
    assert not cycle.response_started
    connection.flow.resume_writing()
    await sending
    assert cycle.response_started


async def test_failure_is_answered_with_500_and_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def app(*_: Any) -> None:
        raise ValueError("a fault")

    connection = Connection()
    await connection.cycle().run_asgi(app)
    assert connection.written[0].startswith(b"HTTP/1.1 500 ")
    assert connection.is_closed
    assert "Exception in ASGI application" in caplog.text


async def test_responses_are_logged_as_uvicorn_does(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    makers: Sequence[Callable[[Connection], Any]] = (Connection.cycle, Connection.uvicorns_cycle)
    for make in makers:
        connection = Connection()
        connection.access_log = True
        await make(connection).send(start(LENGTH))
    ours, uvicorns = caplog.records
    assert ours.args == uvicorns.args


async def test_refusal_of_a_request_closes_the_connection() -> None:
    connection = Connection()
    await connection.cycle().run_asgi(refuse_request)
    assert connection.written[0].startswith(b"HTTP/1.1 503 ")
    assert connection.is_closed
