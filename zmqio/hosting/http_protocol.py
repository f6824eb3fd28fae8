"""An HTTP protocol for uvicorn on which a long poll takes no task, no ASGI scope and one write.

The first poll of a connection goes through ASGI and finds this object in its scope (`asgi_http.PollWire`). The
engine hands it a `TakePoll`, and further GETs whose head is the same byte for byte (but for the parameter `t`,
which makes every URL new) wait right here: whatever the path, the headers and the middleware led to, it would
lead to again. Anything else goes through ASGI as on uvicorn's own protocol, on which every other application runs.

Should a later uvicorn miss what this needs, everything stays on the ASGI path.
"""

import asyncio
import socket
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from zmqio.engine.compact_sync import CompactEvent
from zmqio.engine.http_exchange import EXTENSION, Headers, Send, TakePoll, header_fields
from zmqio.hosting.half_closed import half_close

__all__ = ["HttpProtocol"]

log = structlog.get_logger(__name__)

# A request with one of these is not served here: CORS, bodies, upgrades.
_UNUSUAL = frozenset({b"origin", b"content-length", b"transfer-encoding", b"upgrade", b"expect"})

# What this class uses of uvicorn's, beyond the methods that it extends.
_NEEDED = ("access_log", "cycle", "flow", "limit_concurrency", "parser", "root_path", "server_state", "url")

_STATUS_LINES = {s.value: f"HTTP/1.1 {s.value} {s.phrase}\r\n".encode() for s in HTTPStatus}
_NOBODY_WAITS = CompactEvent()

_Target = tuple[bytes, tuple[bytes, ...]]


@dataclass(frozen=True, slots=True)
class _Known:
    """A poll that was served through ASGI: path and query without `t`, headers, and who takes the next."""

    target: _Target
    headers: list[tuple[bytes, bytes]]
    take: TakePoll


class _Waiting:
    """A poll that waits; a `WaitingPoll`. Stands where uvicorn keeps its `RequestResponseCycle`."""

    __slots__ = ("_tell", "_wire", "disconnected", "keep_alive", "more_body", "response_complete")

    message_event = _NOBODY_WAITS

    def __init__(self, wire: "HttpProtocol") -> None:
        self._wire: HttpProtocol | None = wire
        self._tell: Callable[[], None] | None = None
        self.disconnected = self.response_complete = False
        self.keep_alive = self.more_body = True

    def when_gone(self, tell: Callable[[], None]) -> None:
        self._tell = tell

    def answer(self, status: int, body: bytes, content_type: str, headers: Headers = ()) -> bool:
        wire, self._wire, self._tell = self._wire, None, None
        if wire is None or self.disconnected:
            return False
        self.response_complete = True
        return wire.write_answer(status, body, header_fields(body, content_type, headers), self.keep_alive)

    def lost(self) -> None:
        """The connection is gone."""
        tell, self._wire, self._tell = self._tell, None, None
        self.disconnected = True
        if tell is not None:
            tell()


_TCP_FAMILIES = (socket.AF_INET, socket.AF_INET6)


class HttpProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol, which is also a `PollWire`."""

    _known: _Known | None = None
    _waiting: _Waiting | None = None

    # PollWire.

    def learn(self, send: Send, take: TakePoll) -> None:
        """Offer further requests like the one behind `send` to `take`."""
        missing = [name for name in _NEEDED if not hasattr(self, name)]
        if missing:
            log.warning("fast_polling_unavailable", missing=missing)
            return
        cycle = self.cycle
        if getattr(send, "__self__", None) is not cycle or self.access_log or self.limit_concurrency is not None:
            return
        scope: Any = cycle.scope
        headers = scope["headers"]
        if _UNUSUAL.isdisjoint([name for name, _ in headers]):
            self._known = _Known(_target(scope["raw_path"], scope["query_string"]), headers, take)

    # uvicorn's protocol.

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A connection is there; its small packets do not wait 20 to 40 ms for the one before.

        asyncio sees to that only where it can tell that a socket is TCP, which it cannot for one whose listener
        was made without a protocol number.
        """
        connection = transport.get_extra_info("socket")
        if connection is not None and connection.family in _TCP_FAMILIES:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().connection_made(transport)

    def on_message_begin(self) -> None:
        """A request begins; its scope names this object."""
        super().on_message_begin()
        scope: Any = self.scope
        scope.setdefault("extensions", {})[EXTENSION] = self

    def on_headers_complete(self) -> None:
        """Take the request here, or hand it to ASGI."""
        if self._known is None or not self._take(self._known):
            super().on_headers_complete()

    def eof_received(self) -> bool:  # type: ignore[override]  # of asyncio, where uvicorn's returns None
        """The client sends nothing more; whether the connection stays open for an answer.

        It does not for a poll that waits here: a client that has gone must not be sent messages. Nor under TLS,
        where asyncio can close only both sides.
        """
        if self._waiting is not None or self.transport.get_extra_info("sslcontext") is not None:
            return False
        return half_close(self.cycle, self.transport.close)

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone, and so is the client of a poll that waits."""
        waiting, self._waiting, self._known = self._waiting, None, None
        scope: Any = self.scope
        if scope is not None:
            scope["extensions"].pop(EXTENSION, None)  # else only the garbage collector would free the two
        super().connection_lost(exc)
        if waiting is not None:
            waiting.lost()

    def write_answer(self, status: int, body: bytes, fields: list[tuple[bytes, bytes]], keep_alive: bool) -> bool:
        """Write the answer to the poll that waits; False if the connection is closing."""
        self._waiting = None
        if self.transport.is_closing():
            return False
        lines = [_STATUS_LINES[status]]
        for name, value in (*self.server_state.default_headers, *fields):
            lines += (name, b": ", value, b"\r\n")
        lines += (b"\r\n" if keep_alive else b"connection: close\r\n\r\n", body)
        self.transport.write(b"".join(lines))
        if not keep_alive:
            self.transport.close()
        self.on_response_complete()
        return True

    def _take(self, known: _Known) -> bool:
        if self.headers != known.headers or not self._is_plain_get():
            return False
        path, _, query = self.url.partition(b"?")
        if _target(self.root_path.encode() + path, query) != known.target:
            return False
        waiting = _Waiting(self)
        if not known.take(waiting):
            return False
        self._waiting = waiting
        self.cycle = waiting  # type: ignore[assignment]  # it has what uvicorn uses of one
        return True

    def _is_plain_get(self) -> bool:
        """Whether it is a GET that keeps the connection, with nothing before it and nothing left to send."""
        parser, before = self.parser, self.cycle
        return (
            parser.get_method() == b"GET"
            and parser.get_http_version() == "1.1"
            and parser.should_keep_alive()
            and not parser.should_upgrade()
            and not self.flow.write_paused
            and before.response_complete
        )


def _target(path: bytes, query: bytes) -> _Target:
    return path, tuple([pair for pair in query.split(b"&") if not pair.startswith(b"t=")])
