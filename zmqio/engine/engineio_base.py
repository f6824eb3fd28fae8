"""The base of the engine: python-engineio's options, registry of sessions and cookie rules.

All uses of python-engineio are here and in `session`; tests/engine/test_engineio_base.py checks each of them.
"""

import logging
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING

from engineio.async_server import AsyncServer

from zmqio.config import EngineOptions
from zmqio.counts import Counts
from zmqio.engine.contracts import TransportName
from zmqio.engine.http_exchange import Headers
from zmqio.ids import EngineSid, NodeTag, make_engine_sid

if TYPE_CHECKING:
    from zmqio.engine.session import Session

__all__ = ["EngineioServer", "cookie_attributes"]


class EngineioServer(AsyncServer):  # type: ignore[misc]  # engineio has no annotations
    """python-engineio's server with zmqio's options and ids, without its tasks, queues and log lines.

    Args:
        options: limits and features.
        tag: the node tag, with which every session id begins.
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
            cors_allowed_origins=[],  # its CORS rules are not used; see `zmqio.engine.cors`
        )
        self.options = options
        self.counters: Counter[str] = Counts()
        self._tag = tag

    @property
    def sessions(self) -> Mapping[EngineSid, "Session"]:
        """Open sessions by id."""
        sessions: Mapping[EngineSid, Session] = self.sockets
        return sessions

    def generate_id(self) -> EngineSid:
        """Create a session id that begins with the tag of this node."""
        return make_engine_sid(self._tag)

    def create_queue(self, *args: object, **kwargs: object) -> None:
        """Create no queue: a session creates its send buffer when it needs one (57 B against 3.3 KB)."""

    async def disconnect(self, sid: EngineSid | None = None) -> None:
        """End one session, or all; python-engineio's name for `Session.close_soon`."""
        for session in list(self.sessions.values()):
            if sid in (None, session.sid):
                session.close_soon("forced close")

    def offered(self, transport_name: TransportName) -> list[str]:
        """The transports to which a session may upgrade."""
        can_upgrade = self.allow_upgrades and transport_name == "polling" and "websocket" in self.transports
        return ["websocket"] if can_upgrade else []

    def cookie_headers(self, sid: EngineSid) -> Headers:
        """The header that sets the session cookie, if the option `cookie` is set."""
        if not self.cookie:
            return ()
        attributes = cookie_attributes(self.cookie)
        return [("Set-Cookie", self._generate_sid_cookie(sid, attributes))]


def cookie_attributes(cookie: str | Mapping[str, str | bool]) -> dict[str, str | bool]:
    """The attributes of the session cookie, including `name`; those set to False are left out.

    Source: engine.io 6: `{ name: "io", path: "/", httpOnly: true, sameSite: "lax" }`.
    """
    defaults: dict[str, str | bool] = {"name": "io", "Path": "/", "HttpOnly": True, "SameSite": "Lax"}
    given: Mapping[str, str | bool] = {"name": cookie} if isinstance(cookie, str) else cookie
    lower = {name.lower() for name in given}
    merged = {name: value for name, value in defaults.items() if name.lower() not in lower} | dict(given)
    return {name: value for name, value in merged.items() if value is not False}


def _silent_logger() -> logging.Logger:
    """A logger without output. python-engineio would log payloads; zmqio logs what matters itself."""
    logger = logging.getLogger("zmqio.engine.engineio")
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())
    logger.propagate = False
    logger.setLevel(logging.CRITICAL + 1)
    return logger
