"""The health routes as an ASGI app: whether the process is alive, and whether to send it clients.

Probes never start the server: a node that only a probe started would take part in the cluster without serving
clients.
"""

import json
from collections.abc import Callable, Sequence
from typing import Any

from zmqio.adapter.base import Health
from zmqio.server.asgi_responses import Receive, Scope, Send, respond_to_get, respond_with_error

__all__ = ["LIVE_PATH", "READY_PATH", "HealthApp", "acknowledge_lifespan", "path_below_mount"]

LIVE_PATH = "/healthz"
READY_PATH = "/readyz"
REASON_CLASSES = (
    "the server has not started",
    "the server is shutting down",
    "the server has stopped",
    "the adapter has not started",
    "the node has stopped",
    "left the bus",
    "no broker is connected",
    "no broker has returned a heartbeat",
)
"""The beginnings of reasons, which are shown to everyone. The rest of a reason names nodes, brokers and times."""
OTHER_REASON = "not ready"
HEADERS = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]


class HealthApp:
    """Responds to GET and HEAD on two paths with JSON.

    - The live path: always 200 with `{"alive": true}`, which proves that the event loop is running.
    - The ready path: 200 if the server is ready, else 503. The body has `ready` and `reasons`, of which only the
      class is shown (`REASON_CLASSES`), because everyone may ask. The server becomes ready again by itself, so do
      not restart it because of a 503.

    Args:
        health: returns the server's state.
        details: whether the ready path shows `reasons` in full, and `details`, with node ids and broker addresses.
        live_path, ready_path: the paths, below the mount point if the app is mounted; None disables one.
    """

    def __init__(
        self,
        health: Callable[[], Health],
        *,
        live_path: str | None,
        ready_path: str | None,
        details: bool = False,
    ) -> None:
        self._health = health
        self._details = details
        self._live_path = _normalized(live_path)
        self._ready_path = _normalized(ready_path)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one connection. Lifespan events are acknowledged and have no effect."""
        if scope["type"] == "lifespan":
            await acknowledge_lifespan(receive, send)
        elif not await self.respond_if_health(scope, receive, send):
            await respond_with_error(scope, receive, send, 404, "not found")

    async def respond_if_health(self, scope: Scope, receive: Receive, send: Send) -> bool:
        """Respond if the request is for one of the two paths; return whether it was."""
        path = path_below_mount(scope)
        if scope["type"] != "http" or path not in (self._live_path, self._ready_path):
            return False
        if path == self._live_path:
            status, body = 200, {"alive": True}
        else:
            status, body = self._readiness(self._health())
        await respond_to_get(scope, send, status, HEADERS, json.dumps(body, default=str).encode() + b"\n")
        return True

    def _readiness(self, health: Health) -> tuple[int, dict[str, Any]]:
        status = 200 if health.ready else 503
        if self._details:
            reasons, details = list(health.reasons), dict(health.details)
            return status, {"ready": health.ready, "reasons": reasons, "details": details}
        return status, {"ready": health.ready, "reasons": _reason_classes(health.reasons)}


def _reason_classes(reasons: Sequence[str]) -> list[str]:
    """Return the beginnings of the reasons that are known, once each; `OTHER_REASON` if there are only others."""
    known = [name for name in REASON_CLASSES if any(reason.startswith(name) for reason in reasons)]
    return known or ([OTHER_REASON] if reasons else [])


def _normalized(path: str | None) -> str | None:
    return None if path is None else "/" + path.strip("/")


def path_below_mount(scope: Scope) -> str:
    """Return the path without the mount point, which some frameworks remove from `path` and some keep."""
    path: str = scope["path"]
    mount: str = scope.get("root_path", "").rstrip("/")
    below = path[len(mount) :] if mount and path.startswith(mount + "/") else path
    return "/" + below.strip("/")


async def acknowledge_lifespan(receive: Receive, send: Send) -> None:
    """Respond to the lifespan events as an app that has nothing to start or stop."""
    while (message := await receive())["type"] != "lifespan.shutdown":
        await send({"type": message["type"] + ".complete"})
    await send({"type": "lifespan.shutdown.complete"})
