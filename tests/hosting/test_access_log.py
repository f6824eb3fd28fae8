"""The lines of the access log, of an ASGI app that is called directly."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest
from structlog.testing import capture_logs

from zmqio.hosting.access_log import AccessLog

Sends = Callable[[Any], Awaitable[None]]


def scope_of(kind: str, **more: Any) -> dict[str, Any]:
    return {
        "type": kind,
        "path": "/socket.io/",
        "query_string": b"sid=secret",
        "client": ("10.1.2.3", 50_000),
    } | more


async def lines_of(app: Any, scope: dict[str, Any], *received: Any) -> list[dict[str, Any]]:
    """The lines that one call logs, without their duration, which must be a number of seconds."""
    waiting = list(received)

    async def receive() -> Any:
        return waiting.pop(0)

    async def send(_message: Any) -> None:
        """Nothing reads it."""

    with capture_logs() as lines, suppress(ZeroDivisionError):
        await AccessLog(app)(scope, receive, send)
    assert all(line.pop("duration_s", 0) >= 0 for line in lines)
    assert "secret" not in str(lines)
    return [{key: value for key, value in line.items() if key != "log_level"} for line in lines]


async def test_request_has_client_method_path_status_and_bytes() -> None:
    async def app(_scope: Any, _receive: Any, send: Sends) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"12345", "more_body": True})
        await send({"type": "http.response.body", "body": b"67"})

    assert await lines_of(app, scope_of("http", method="POST")) == [
        {
            "event": "request_completed",
            "client": "10.1.2.3",
            "method": "POST",
            "path": "/socket.io/",
            "status": 200,
            "bytes": 7,
        }
    ]


async def test_error_of_the_app_is_status_500_and_raised() -> None:
    async def app(_scope: Any, _receive: Any, _send: Sends) -> None:
        raise ZeroDivisionError

    (line,) = await lines_of(app, scope_of("http", method="GET"))
    assert line["status"] == 500


async def test_request_whose_client_has_gone_has_no_status() -> None:
    async def app(_scope: Any, receive: Any, _send: Sends) -> None:
        await receive()

    (line,) = await lines_of(app, scope_of("http", method="GET", client=None), {"type": "http.disconnect"})
    assert (line["status"], line["client"]) == (None, None)


async def test_websocket_has_a_line_when_it_opens_and_one_with_its_code_when_it_closes() -> None:
    async def app(_scope: Any, receive: Any, send: Sends) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        await receive()

    lines = await lines_of(
        app, scope_of("websocket"), {"type": "websocket.connect"}, {"type": "websocket.disconnect", "code": 1001}
    )
    same = {"client": "10.1.2.3", "method": "GET", "path": "/socket.io/"}
    assert lines == [{"event": "websocket_opened", **same}, {"event": "websocket_closed", **same, "code": 1001}]


@pytest.mark.parametrize(
    ("message", "status"),
    [({"type": "websocket.close"}, 403), ({"type": "websocket.http.response.start", "status": 400}, 400)],
)
async def test_refused_websocket_is_a_request_with_its_status(message: Any, status: int) -> None:
    async def app(_scope: Any, _receive: Any, send: Sends) -> None:
        await send(message)

    (line,) = await lines_of(app, scope_of("websocket"))
    assert (line["event"], line["status"]) == ("request_completed", status)


async def test_lifespan_is_passed_on_without_a_line() -> None:
    called = []

    async def app(scope: Any, _receive: Any, _send: Sends) -> None:
        called.append(scope["type"])

    assert await lines_of(app, {"type": "lifespan"}) == []
    assert called == ["lifespan"]
