"""The health routes as an ASGI app: whether the process turns, and whether to send it clients.

They never start the server: a probe that did would keep a node on the bus which serves nobody.
"""

import json
from collections.abc import Callable
from typing import Any

from zmqio.adapter.base import Health
from zmqio.server.asgi_responses import Receive, Scope, Send, refuse, respond_to_get

__all__ = ["LIVE_PATH", "READY_PATH", "HealthApp"]

LIVE_PATH = "/healthz"
READY_PATH = "/readyz"
HEADERS = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]


class HealthApp:
    """Answers GET and HEAD on two paths with JSON.

    - the live path: always 200 with `{"alive": true}`. Who gets an answer has a process whose event loop turns.
    - the ready path: 200 when `health` is ready, else 503; `{"ready", "reasons", "details"}` say more. It gets
      well by itself.

    Args:
        health: says how the server is.
        live_path, ready_path: where; None: nowhere. Mounted in a framework they are below the mount point.
    """

    def __init__(self, health: Callable[[], Health], *, live_path: str | None, ready_path: str | None) -> None:
        self._health = health
        self._live_path = _normal(live_path)
        self._ready_path = _normal(ready_path)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one connection; a lifespan is accepted and means nothing."""
        if scope["type"] == "lifespan":
            await _pass_lifespan(receive, send)
        elif not await self.answer(scope, receive, send):
            await refuse(scope, receive, send, 404, "nothing is here")

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> bool:
        """Answer if it is one of the two paths; False if not."""
        path = _path_below_mount(scope)
        if scope["type"] != "http" or path not in (self._live_path, self._ready_path):
            return False
        if path == self._live_path:
            status, found = 200, {"alive": True}
        else:
            status, found = _readiness(self._health())
        await respond_to_get(scope, send, status, HEADERS, json.dumps(found, default=str).encode() + b"\n")
        return True


def _readiness(health: Health) -> tuple[int, dict[str, Any]]:
    found = {"ready": health.ready, "reasons": list(health.reasons), "details": dict(health.details)}
    return 200 if health.ready else 503, found


def _normal(path: str | None) -> str | None:
    return None if path is None else "/" + path.strip("/")


def _path_below_mount(scope: Scope) -> str:
    """Frameworks that mount an app differ: some leave the mount point on `path`, some cut it off."""
    path: str = scope["path"]
    mount: str = scope.get("root_path", "").rstrip("/")
    below = path[len(mount) :] if mount and path.startswith(mount + "/") else path
    return "/" + below.strip("/")


async def _pass_lifespan(receive: Receive, send: Send) -> None:
    while (message := await receive())["type"] != "lifespan.shutdown":
        await send({"type": message["type"] + ".complete"})
    await send({"type": "lifespan.shutdown.complete"})
