"""What the engine takes from python-engineio: options, the registry of sessions, CORS and cookie rules.

Every use of the base class is here or in `session`, and tests/engine/test_engineio_base.py watches each.
"""

import logging
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import structlog
from engineio.async_server import AsyncServer

from zmqio.config import EngineOptions
from zmqio.engine.contracts import TransportName
from zmqio.engine.handshake import FORBIDDEN, ClientRequest, Refusal
from zmqio.engine.http_exchange import Headers
from zmqio.ids import EngineSid, NodeTag, make_engine_sid

if TYPE_CHECKING:
    from zmqio.engine.session import Session

__all__ = ["EngineioServer", "cookie_attributes", "cors_environ", "cors_origins"]

log = structlog.get_logger(__name__)


class EngineioServer(AsyncServer):  # type: ignore[misc]  # engineio has no annotations
    """python-engineio's server with our options, our ids, and none of its tasks, queues and log lines.

    Args:
        options: limits and features.
        tag: begins every session id.
    """

    def __init__(self, options: EngineOptions, tag: NodeTag) -> None:
        super().__init__(
            async_mode="asgi",
            logger=_silent_logger(),
            monitor_clients=False,
            ping_interval=options.ping_interval_s,
            ping_timeout=options.ping_timeout_s,
            max_http_buffer_size=options.max_payload_bytes,
            allow_upgrades=options.allow_upgrades,
            transports=list(options.transports),
            cookie=options.cookie,
            cors_allowed_origins=cors_origins(options),
            cors_credentials=options.cors_credentials,
        )
        self.options = options
        self.counters: Counter[str] = Counter()
        self._tag = tag

    @property
    def sessions(self) -> Mapping[EngineSid, "Session"]:
        """The sessions that have not ended, by id."""
        sessions: Mapping[EngineSid, Session] = self.sockets
        return sessions

    def generate_id(self) -> EngineSid:
        """Make a session id that names this node."""
        return make_engine_sid(self._tag)

    def create_queue(self, *args: object, **kwargs: object) -> None:
        """Nothing: a session makes its buffer when something has to wait (57 B against 3.3 KB)."""

    async def disconnect(self, sid: EngineSid | None = None) -> None:
        """End one session or all, as python-engineio calls it; see `Session.close_soon`."""
        for session in list(self.sessions.values()):
            if sid in (None, session.sid):
                session.close_soon("forced close")

    def offered(self, transport_name: TransportName) -> list[str]:
        """The transports that a session may move to."""
        can_upgrade = self.allow_upgrades and transport_name == "polling" and "websocket" in self.transports
        return ["websocket"] if can_upgrade else []

    def check_origin(self, request: ClientRequest, environ: dict[str, str]) -> Refusal | None:
        """Refuse an origin that may not use this server; on WebSockets browsers do not ask for themselves."""
        origin = request.headers.get("origin")
        if origin is None or self.cors_allowed_origins == []:
            return None
        allowed = self._cors_allowed_origins(environ)
        if allowed is None or origin in allowed:
            return None
        if not self.counters["origins_refused"]:
            log.warning(
                "origin_refused", origin=origin, option="cors_allowed_origins", note="further ones are counted"
            )
        self.counters["origins_refused"] += 1
        return FORBIDDEN

    def headers_for(self, environ: dict[str, str]) -> Headers:
        """What CORS adds to every answer."""
        if "HTTP_ORIGIN" not in environ:
            return ()
        headers: list[tuple[str, str]] = self._cors_headers(environ)
        return [*headers, ("Vary", "Origin")] if headers else ()

    def cookie_headers(self, sid: EngineSid) -> Headers:
        """The cookie that carries the session id, if there is to be one."""
        if not self.cookie:
            return ()
        attributes = cookie_attributes(self.cookie)
        return [("Set-Cookie", self._generate_sid_cookie(sid, attributes))]


def cors_origins(options: EngineOptions) -> Any:
    """As python-engineio takes it: a list, text, a function, or None."""
    origins = options.cors_allowed_origins
    return origins if origins is None or isinstance(origins, str) or callable(origins) else list(origins)


def cors_environ(request: ClientRequest) -> dict[str, str]:
    """What python-engineio's CORS rules read, in the form of a WSGI environment."""
    environ = {"REQUEST_METHOD": request.method, "wsgi.url_scheme": "https" if request.secure else "http"}
    for name in ("origin", "host", "x-forwarded-proto", "x-forwarded-host", "access-control-request-headers"):
        if name in request.headers:
            environ["HTTP_" + name.upper().replace("-", "_")] = request.headers[name]
    return environ


def cookie_attributes(cookie: str | Mapping[str, str | bool]) -> dict[str, str | bool]:
    """The attributes of the session cookie, `name` among them; what is False is left out.

    Source: engine.io 6: `{ name: "io", path: "/", httpOnly: true, sameSite: "lax" }`.
    """
    defaults: dict[str, str | bool] = {"name": "io", "Path": "/", "HttpOnly": True, "SameSite": "Lax"}
    given: Mapping[str, str | bool] = {"name": cookie} if isinstance(cookie, str) else cookie
    lower = {name.lower() for name in given}
    merged = {name: value for name, value in defaults.items() if name.lower() not in lower} | dict(given)
    return {name: value for name, value in merged.items() if value is not False}


def _silent_logger() -> logging.Logger:
    """A logger that says nothing: what matters is logged here, and python-engineio's would log payloads."""
    logger = logging.getLogger("zmqio.engine.engineio")
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
    logger.propagate = False
    logger.setLevel(logging.CRITICAL + 1)
    return logger
