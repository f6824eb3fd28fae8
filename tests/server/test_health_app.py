"""`HealthApp`: paths, states and methods."""

import json
from typing import Any

import pytest

from zmqio.adapter.base import Health
from zmqio.server.health_app import HealthApp

GREEN = Health(ready=True, details={"nodes": 2})
RED = Health(ready=False, reasons=("no broker is connected",), details={"nodes": 1})


class Probe:
    """One request to the app."""

    def __init__(self, *messages: str) -> None:
        self.messages = [{"type": message} for message in messages]
        self.sent: list[Any] = []

    async def receive(self) -> Any:
        return self.messages.pop(0)

    async def send(self, message: Any) -> None:
        self.sent.append(message)

    async def ask(self, app: HealthApp, path: str, method: str = "GET", root_path: str = "") -> "Probe":
        scope = {"type": "http", "path": path, "method": method, "root_path": root_path}
        await app(scope, self.receive, self.send)
        return self

    @property
    def status(self) -> int:
        status: int = self.sent[0]["status"]
        return status

    @property
    def headers(self) -> dict[bytes, bytes]:
        return dict(self.sent[0]["headers"])

    @property
    def body(self) -> Any:
        return json.loads(self.sent[1]["body"])


def app(
    health: Health = GREEN,
    live_path: str | None = "/healthz",
    ready_path: str | None = "/readyz",
    *,
    details: bool = False,
) -> HealthApp:
    return HealthApp(lambda: health, live_path=live_path, ready_path=ready_path, details=details)


@pytest.mark.parametrize("health", [GREEN, RED])
async def test_live_path_responds_with_200_even_if_not_ready(health: Health) -> None:
    probe = await Probe().ask(app(health), "/healthz")
    assert (probe.status, probe.body) == (200, {"alive": True})


@pytest.mark.parametrize(("health", "status"), [(GREEN, 200), (RED, 503)])
async def test_ready_path_reports_everything_if_details_are_wanted(health: Health, status: int) -> None:
    probe = await Probe().ask(app(health, details=True), "/readyz")
    assert probe.status == status
    assert probe.body == {"ready": health.ready, "reasons": list(health.reasons), "details": dict(health.details)}
    assert probe.headers[b"content-type"] == b"application/json"
    assert probe.headers[b"cache-control"] == b"no-store"


@pytest.mark.parametrize(
    ("reasons", "shown"),
    [
        ((), []),
        (("the server has not started: it starts with ...",), ["the server has not started"]),
        (("the server is shutting down", "no broker is connected", "tcp://10.0.0.1:5555: refused"), None),
        (("left the bus: node tag 'abcd' belongs to node x (host h, process 1)",), ["left the bus"]),
        (("no broker has returned a heartbeat of this node for 5.0 s",), ["no broker has returned a heartbeat"]),
        (("anything that another adapter reports: secret",), ["not ready"]),
    ],
)
async def test_ready_path_shows_only_the_class_of_the_reason(
    reasons: tuple[str, ...], shown: list[str] | None
) -> None:
    health = Health(not reasons, reasons, {"node_id": "secret", "counters": {"x": 1}})
    probe = await Probe().ask(app(health), "/readyz")
    expected = ["the server is shutting down", "no broker is connected"] if shown is None else shown
    assert probe.body == {"ready": not reasons, "reasons": expected}
    assert probe.status == (503 if reasons else 200)


async def test_head_response_has_the_status_and_no_body() -> None:
    probe = await Probe().ask(app(RED), "/readyz", "HEAD")
    assert (probe.status, probe.sent[1]["body"]) == (503, b"")
    assert int(probe.headers[b"content-length"]) > 0


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
async def test_other_methods_are_refused(path: str) -> None:
    probe = await Probe().ask(app(), path, "POST")
    assert (probe.status, probe.headers[b"allow"]) == (405, b"GET, HEAD")


@pytest.mark.parametrize(
    ("path", "root_path"),
    [
        ("/readyz", ""),
        ("/readyz/", ""),
        ("/ops/readyz", "/ops"),  # Starlette keeps the mount point in the path
        ("/readyz", "/ops"),  # others remove the mount point from the path
    ],
)
async def test_paths_are_served_below_a_mount_point(path: str, root_path: str) -> None:
    assert (await Probe().ask(app(), path, root_path=root_path)).status == 200


@pytest.mark.parametrize("path", ["/", "/readyzz", "/x/readyz"])
async def test_other_paths_get_404(path: str) -> None:
    assert (await Probe().ask(app(), path)).status == 404


async def test_paths_can_be_changed_and_disabled() -> None:
    changed = app(live_path="up", ready_path=None)
    assert [(await Probe().ask(changed, path)).status for path in ("/up", "/healthz", "/readyz")] == [
        200,
        404,
        404,
    ]


async def test_details_without_a_json_form_are_reported_as_text() -> None:
    probe = await Probe().ask(app(Health(ready=True, details={"set": {1}}), details=True), "/readyz")
    assert probe.body["details"] == {"set": "{1}"}


async def test_lifespan_of_a_host_is_acknowledged() -> None:
    probe = Probe("lifespan.startup", "lifespan.shutdown")
    await app()({"type": "lifespan"}, probe.receive, probe.send)
    assert [message["type"] for message in probe.sent] == [
        "lifespan.startup.complete",
        "lifespan.shutdown.complete",
    ]


async def test_websocket_is_refused() -> None:
    probe = Probe("websocket.connect")
    await app()({"type": "websocket", "path": "/readyz"}, probe.receive, probe.send)
    assert probe.sent[0]["type"] == "websocket.close"
