"""`AsgiApp`: the paths of Socket.IO under any mount point, and the lifespan with and without another app."""

from typing import Any

import pytest
from structlog.testing import capture_logs

from zmqio.adapter.base import Health
from zmqio.client import client_file
from zmqio.exceptions import ServerClosedError
from zmqio.server.asgi import AsgiApp
from zmqio.server.health_app import HealthApp


class FakeEngine:
    def __init__(self) -> None:
        self.handled: list[str] = []

    async def handle(self, scope: Any, receive: Any, send: Any) -> None:
        self.handled.append(scope["path"])


class FakeHost:
    """Records the calls it receives."""

    def __init__(self) -> None:
        self.engine = FakeEngine()
        self.calls: list[str] = []

    async def ready(self) -> None:
        if "close" in self.calls:
            raise ServerClosedError
        self.calls.append("ready")

    async def start(self) -> None:
        self.calls.append("start")

    async def close(self, drain_s: float | None = None) -> None:
        assert drain_s == 0  # at the end of the lifespan no client can be reached
        self.calls.append("close")


class Exchange:
    """The server's side of one ASGI connection."""

    def __init__(self, *messages: str) -> None:
        self.messages = [{"type": message} for message in messages]
        self.sent: list[Any] = []

    async def receive(self) -> Any:
        return self.messages.pop(0)

    async def send(self, message: Any) -> None:
        self.sent.append(message)


def scope(path: str, root_path: str = "", kind: str = "http", method: str = "GET") -> dict[str, Any]:
    return {"type": kind, "path": path, "root_path": root_path, "method": method, "headers": []}


async def other_app(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "other", "path": scope["path"]})


@pytest.mark.parametrize(
    ("path", "root_path"),
    [
        ("/socket.io/", ""),
        ("/socket.io", ""),
        ("/socket.io/", "/socket.io"),  # Starlette keeps the mount point in the path
        ("/", "/socket.io"),  # others remove the mount point from the path
        ("/ws/", "/ws"),
        ("/ws/socket.io/", "/ws"),
        ("/a/b/", "/a/b"),
        ("/socket.io/", "/behind/a/proxy"),
    ],
)
async def test_socket_io_is_served_at_its_path_and_at_any_mount_point(path: str, root_path: str) -> None:
    host, exchange = FakeHost(), Exchange()
    await AsgiApp(host)(scope(path, root_path), exchange.receive, exchange.send)
    assert host.engine.handled == [path]
    assert host.calls == ["ready"]


async def test_closed_server_responds_with_503() -> None:
    host, exchange = FakeHost(), Exchange()
    host.calls.append("close")
    await AsgiApp(host)(scope("/socket.io/"), exchange.receive, exchange.send)
    assert exchange.sent[0]["status"] == 503
    assert host.engine.handled == []


@pytest.mark.parametrize("path", ["/", "/socket.iox/", "/other/socket.io/", "/socket"])
async def test_other_requests_go_to_the_other_app(path: str) -> None:
    host, exchange = FakeHost(), Exchange()
    await AsgiApp(host, other_app)(scope(path), exchange.receive, exchange.send)
    assert exchange.sent == [{"type": "other", "path": path}]
    assert host.calls == []


async def test_404_names_the_path_of_socket_io() -> None:
    exchange = Exchange()
    await AsgiApp(FakeHost(), path="chat")(scope("/"), exchange.receive, exchange.send)
    assert exchange.sent[0]["status"] == 404
    assert b"/chat/" in exchange.sent[1]["body"]


async def test_websocket_at_another_path_is_refused() -> None:
    exchange = Exchange("websocket.connect")
    await AsgiApp(FakeHost())(scope("/nowhere", kind="websocket"), exchange.receive, exchange.send)
    assert exchange.sent[0]["type"] == "websocket.close"


@pytest.mark.parametrize(
    ("path", "root_path"),
    [
        ("/socket.io/socket.io.js", ""),
        ("/mounted/socket.io.min.js", "/mounted"),
        ("/socket.io/socket.io.min.js", ""),
        ("/ws/socket.io.js", "/ws"),
    ],
)
async def test_browser_client_is_served_below_the_socket_io_path(path: str, root_path: str) -> None:
    host, exchange = FakeHost(), Exchange()
    await AsgiApp(host)(scope(path, root_path), exchange.receive, exchange.send)
    assert exchange.sent[1]["body"] == client_file("socket.io.min.js").content
    assert host.engine.handled == []


async def test_lifespan_starts_and_stops_the_node() -> None:
    host, exchange = FakeHost(), Exchange("lifespan.startup", "lifespan.shutdown")
    await AsgiApp(host)({"type": "lifespan"}, exchange.receive, exchange.send)
    assert host.calls == ["start", "close"]
    assert [message["type"] for message in exchange.sent] == [
        "lifespan.startup.complete",
        "lifespan.shutdown.complete",
    ]


async def test_app_without_lifespan_is_noted_without_a_traceback() -> None:
    async def http_only(scope: Any, receive: Any, send: Any) -> None:
        raise ValueError("Django can only handle ASGI/HTTP connections, not lifespan.")

    host, exchange = FakeHost(), Exchange("lifespan.startup", "lifespan.shutdown")
    with capture_logs() as logs:
        await AsgiApp(host, http_only)({"type": "lifespan"}, exchange.receive, exchange.send)
    assert host.calls == ["start", "close"]
    (line,) = [line for line in logs if line["event"] == "other_app_lifespan_unsupported"]
    assert (line["log_level"], "exc_info" in line, "Django" in line["error"]) == ("debug", False, True)


async def test_failed_start_is_reported_to_the_host() -> None:
    class Failing(FakeHost):
        async def start(self) -> None:
            raise RuntimeError("tag taken")

    exchange = Exchange("lifespan.startup")
    with pytest.raises(RuntimeError):
        await AsgiApp(Failing())({"type": "lifespan"}, exchange.receive, exchange.send)
    assert exchange.sent == [{"type": "lifespan.startup.failed", "message": "tag taken"}]


async def test_node_starts_beside_an_app_that_answers_the_lifespan_as_a_request() -> None:
    async def page(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    host, exchange = FakeHost(), Exchange("lifespan.startup", "lifespan.shutdown")
    await AsgiApp(host, page)({"type": "lifespan"}, exchange.receive, exchange.send)
    assert [message["type"] for message in exchange.sent] == [
        "lifespan.startup.complete",
        "lifespan.shutdown.complete",
    ]


async def test_node_starts_and_stops_within_the_lifespan_of_the_other_app() -> None:
    host, exchange = FakeHost(), Exchange("lifespan.startup", "lifespan.shutdown")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert (await receive())["type"] == "lifespan.startup"
        host.calls.append("app start")
        await send({"type": "lifespan.startup.complete"})
        assert (await receive())["type"] == "lifespan.shutdown"
        host.calls.append("app stop")
        await send({"type": "lifespan.shutdown.complete"})

    await AsgiApp(host, app)({"type": "lifespan"}, exchange.receive, exchange.send)
    assert host.calls == ["app start", "start", "close", "app stop"]
    assert len(exchange.sent) == 2


@pytest.mark.parametrize("reads_first", [False, True])
async def test_node_starts_beside_an_other_app_without_lifespan(reads_first: bool) -> None:
    host, exchange = FakeHost(), Exchange("lifespan.startup", "lifespan.shutdown")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if reads_first:
            await receive()
        raise ValueError("no lifespan here")

    await AsgiApp(host, app)({"type": "lifespan"}, exchange.receive, exchange.send)
    assert host.calls == ["start", "close"]
    assert [message["type"] for message in exchange.sent] == [
        "lifespan.startup.complete",
        "lifespan.shutdown.complete",
    ]


async def test_node_does_not_start_if_the_other_app_fails_to_start() -> None:
    host, exchange = FakeHost(), Exchange("lifespan.startup")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    await AsgiApp(host, app)({"type": "lifespan"}, exchange.receive, exchange.send)
    assert host.calls == []
    assert exchange.sent == [{"type": "lifespan.startup.failed", "message": "no database"}]


HEALTH = HealthApp(lambda: Health(ready=False), live_path="/healthz", ready_path="/readyz")


@pytest.mark.parametrize(
    ("path", "root_path"),
    [("/socket.io/readyz", "/socket.io"), ("/readyz", "/socket.io"), ("/ws/readyz", "/ws"), ("/readyz", "")],
)
async def test_health_routes_are_served_below_any_mount_point(path: str, root_path: str) -> None:
    host, exchange = FakeHost(), Exchange()
    await AsgiApp(host, health=HEALTH)(scope(path, root_path), exchange.receive, exchange.send)
    assert exchange.sent[0]["status"] == 503
    assert host.calls == []


async def test_health_routes_take_precedence_over_the_other_app_and_start_nothing() -> None:
    host, exchange = FakeHost(), Exchange()
    app = AsgiApp(host, other_app, health=HEALTH)
    for path in ("/healthz", "/readyz", "/elsewhere"):
        await app(scope(path), exchange.receive, exchange.send)
    starts = [message for message in exchange.sent if message["type"] == "http.response.start"]
    assert [message["status"] for message in starts] == [200, 503]
    assert exchange.sent[-1] == {"type": "other", "path": "/elsewhere"}
    assert host.calls == []
