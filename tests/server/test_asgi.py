"""`AsgiApp` alone: what is for Socket.IO, whatever mounts it, and the lifespan with and without another app."""

from typing import Any

import pytest

from zmqio.adapter.base import Health
from zmqio.client import CLIENT_JS
from zmqio.exceptions import ServerClosedError
from zmqio.server.asgi import AsgiApp
from zmqio.server.health_app import HealthApp


class FakeEngine:
    def __init__(self) -> None:
        self.handled: list[str] = []

    async def handle(self, scope: Any, receive: Any, send: Any) -> None:
        self.handled.append(scope["path"])


class FakeHost:
    """Writes down what happens to it."""

    def __init__(self) -> None:
        self.engine = FakeEngine()
        self.life: list[str] = []

    async def ready(self) -> None:
        if "close" in self.life:
            raise ServerClosedError
        self.life.append("ready")

    async def start(self) -> None:
        self.life.append("start")

    async def close(self, drain_s: float | None = None) -> None:
        assert drain_s == 0  # when the lifespan ends no client can be reached any more
        self.life.append("close")


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
    return {"type": kind, "path": path, "root_path": root_path, "method": method}


async def other_app(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "other", "path": scope["path"]})


@pytest.mark.parametrize(
    ("path", "root_path"),
    [
        ("/socket.io/", ""),
        ("/socket.io", ""),
        ("/socket.io/", "/socket.io"),  # Starlette mounts: the path stays whole
        ("/", "/socket.io"),  # others cut the mount point off
        ("/ws/", "/ws"),
        ("/ws/socket.io/", "/ws"),
        ("/a/b/", "/a/b"),
        ("/socket.io/", "/behind/a/proxy"),
    ],
)
async def test_socket_io_is_found_at_its_path_and_at_any_mount_point(path: str, root_path: str) -> None:
    host, exchange = FakeHost(), Exchange()
    await AsgiApp(host)(scope(path, root_path), exchange.receive, exchange.send)
    assert host.engine.handled == [path]
    assert host.life == ["ready"]


async def test_request_to_a_closed_server_is_answered_503() -> None:
    host, exchange = FakeHost(), Exchange()
    host.life.append("close")
    await AsgiApp(host)(scope("/socket.io/"), exchange.receive, exchange.send)
    assert exchange.sent[0]["status"] == 503
    assert host.engine.handled == []


@pytest.mark.parametrize("path", ["/", "/socket.iox/", "/other/socket.io/", "/socket"])
async def test_everything_else_goes_to_the_other_app(path: str) -> None:
    host, exchange = FakeHost(), Exchange()
    await AsgiApp(host, other_app)(scope(path), exchange.receive, exchange.send)
    assert exchange.sent == [{"type": "other", "path": path}]
    assert host.life == []


async def test_without_another_app_the_404_says_where_socket_io_is() -> None:
    exchange = Exchange()
    await AsgiApp(FakeHost(), path="chat")(scope("/"), exchange.receive, exchange.send)
    assert exchange.sent[0]["status"] == 404
    assert b"/chat/" in exchange.sent[1]["body"]


async def test_websocket_elsewhere_is_refused() -> None:
    exchange = Exchange("websocket.connect")
    await AsgiApp(FakeHost())(scope("/nowhere", kind="websocket"), exchange.receive, exchange.send)
    assert exchange.sent[0]["type"] == "websocket.close"


@pytest.mark.parametrize(
    ("path", "root_path"),
    [("/socket.io/socket.io.js", ""), ("/socket.io/socket.io.min.js", ""), ("/ws/socket.io.js", "/ws")],
)
async def test_browser_client_is_served_beside_the_engine(path: str, root_path: str) -> None:
    host, exchange = FakeHost(), Exchange()
    await AsgiApp(host)(scope(path, root_path), exchange.receive, exchange.send)
    assert exchange.sent[1]["body"] == CLIENT_JS.read_bytes()
    assert host.engine.handled == []


async def test_lifespan_starts_and_stops_the_node() -> None:
    host, exchange = FakeHost(), Exchange("lifespan.startup", "lifespan.shutdown")
    await AsgiApp(host)({"type": "lifespan"}, exchange.receive, exchange.send)
    assert host.life == ["start", "close"]
    assert [message["type"] for message in exchange.sent] == [
        "lifespan.startup.complete",
        "lifespan.shutdown.complete",
    ]


async def test_failed_start_is_told_to_the_host() -> None:
    class Failing(FakeHost):
        async def start(self) -> None:
            raise RuntimeError("tag taken")

    exchange = Exchange("lifespan.startup")
    with pytest.raises(RuntimeError):
        await AsgiApp(Failing())({"type": "lifespan"}, exchange.receive, exchange.send)
    assert exchange.sent == [{"type": "lifespan.startup.failed", "message": "tag taken"}]


async def test_other_app_keeps_its_own_lifespan_and_the_node_runs_in_it() -> None:
    host, exchange = FakeHost(), Exchange("lifespan.startup", "lifespan.shutdown")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        assert (await receive())["type"] == "lifespan.startup"
        host.life.append("app start")
        await send({"type": "lifespan.startup.complete"})
        assert (await receive())["type"] == "lifespan.shutdown"
        host.life.append("app stop")
        await send({"type": "lifespan.shutdown.complete"})

    await AsgiApp(host, app)({"type": "lifespan"}, exchange.receive, exchange.send)
    assert host.life == ["app start", "start", "close", "app stop"]
    assert len(exchange.sent) == 2


@pytest.mark.parametrize("reads_first", [False, True])
async def test_other_app_without_lifespan_does_not_keep_the_node_from_starting(reads_first: bool) -> None:
    host, exchange = FakeHost(), Exchange("lifespan.startup", "lifespan.shutdown")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if reads_first:
            await receive()
        raise ValueError("no lifespan here")

    await AsgiApp(host, app)({"type": "lifespan"}, exchange.receive, exchange.send)
    assert host.life == ["start", "close"]
    assert [message["type"] for message in exchange.sent] == [
        "lifespan.startup.complete",
        "lifespan.shutdown.complete",
    ]


async def test_other_app_that_fails_to_start_ends_it() -> None:
    host, exchange = FakeHost(), Exchange("lifespan.startup")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    await AsgiApp(host, app)({"type": "lifespan"}, exchange.receive, exchange.send)
    assert host.life == []
    assert exchange.sent == [{"type": "lifespan.startup.failed", "message": "no database"}]


HEALTH = HealthApp(lambda: Health(ready=False), live_path="/healthz", ready_path="/readyz")


@pytest.mark.parametrize(
    ("path", "root_path"),
    [("/socket.io/readyz", "/socket.io"), ("/readyz", "/socket.io"), ("/ws/readyz", "/ws"), ("/readyz", "")],
)
async def test_health_routes_are_below_any_mount_point(path: str, root_path: str) -> None:
    host, exchange = FakeHost(), Exchange()
    await AsgiApp(host, health=HEALTH)(scope(path, root_path), exchange.receive, exchange.send)
    assert exchange.sent[0]["status"] == 503
    assert host.life == []


async def test_health_routes_come_before_the_other_app_and_start_nothing() -> None:
    host, exchange = FakeHost(), Exchange()
    app = AsgiApp(host, other_app, health=HEALTH)
    for path in ("/healthz", "/readyz", "/elsewhere"):
        await app(scope(path), exchange.receive, exchange.send)
    starts = [message for message in exchange.sent if message["type"] == "http.response.start"]
    assert [message["status"] for message in starts] == [200, 503]
    assert exchange.sent[-1] == {"type": "other", "path": "/elsewhere"}
    assert host.life == []
