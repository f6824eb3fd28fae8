"""Uvicorn's WebSocket protocol, extended to take over a connection whose opening request is already parsed.

Uvicorn writes the request again as bytes, which `websockets` then parses and answers. Here the protocol gets the
parsed request. It also writes the answer, unless the application adds headers of its own.

Knows uvicorn's WebSocket protocol and the state of `websockets`' connections (see `uvicorn_contract`).
"""

import logging
from collections.abc import Mapping
from functools import cache
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

from uvicorn.protocols.utils import get_client_addr, get_path_with_query_string
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.datastructures import Headers
from websockets.frames import Frame
from websockets.http11 import Response
from websockets.protocol import OPEN, Protocol
from websockets.server import ServerProtocol

from zmqio.hosting.uvicorn_probes import make_probes
from zmqio.hosting.websocket_opening import Header, encode_answer

__all__ = ["TakeoverProtocol", "scope_template"]


_FRAME = b"\x81\x81\0\0\0\0x"
"""A text frame of a client, with a mask of zeros."""
_SCOPE: dict[str, Any] = {
    "type": "websocket",
    "asgi": {"version": "3.0"},
    "http_version": "1.1",
    "scheme": "ws",
    "server": None,
    "client": None,
    "root_path": "",
    "path": "/",
    "raw_path": b"/",
    "query_string": b"",
    "subprotocols": [],
    "state": {},
    "extensions": {"websocket.http.response": {}},
}
"""A scope of uvicorn, without headers. The version of the specification (`asgi`) differs between its versions."""


@cache
def scope_template() -> Mapping[str, Any] | None:
    """Return a scope of the installed uvicorn, for `TakeoverProtocol.take_over`.

    Returns:
        None if its scopes are not known here, or if the installed `websockets` cannot skip an opening request.
    """
    try:
        if not _can_skip_requests():
            return None
        scope: dict[str, Any] = dict(make_probes()[WebSocketsSansIOProtocol].scope)
        known = {**_SCOPE, "headers": scope["headers"], "asgi": {**scope["asgi"], **_SCOPE["asgi"]}}
    except Exception:  # noqa: BLE001 - a changed uvicorn may raise anything
        return None
    return scope if scope == known else None


def expect_frames(conn: ServerProtocol) -> None:
    """Let a new connection expect frames, not an opening request."""
    conn.parser = Protocol.parse(conn)
    next(conn.parser)


def _can_skip_requests() -> bool:
    conn = ServerProtocol()
    expect_frames(conn)
    conn.receive_data(_FRAME)
    (frame,) = conn.events_received()
    return isinstance(frame, Frame) and frame.data == b"x"


class TakeoverProtocol(WebSocketsSansIOProtocol):
    """Uvicorn's WebSocket protocol that can begin with a parsed request."""

    # Uvicorn's attributes are some of its 40. More than 30 in `__dict__` would take 1.5 KB for each connection.
    __slots__ = (
        "_accept",
        "_answer_headers",
        "client",
        "conn",
        "connections",
        "default_headers",
        "loop",
        "queue",
        "request",
        "response",
        "scheme",
        "scope",
        "server",
        "tasks",
        "transport",
        "writable",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Value of Sec-WebSocket-Accept; None if `websockets` parses the request.
        self._accept: bytes | None = None
        self._answer_headers: tuple[Header, ...] = ()

    def take_over(self, http: Any, accept: bytes, template: Mapping[str, Any]) -> None:
        """Serve a connection whose opening request is complete and valid.

        Args:
            http: uvicorn's HTTP protocol of the connection.
            accept: value of Sec-WebSocket-Accept, from `websocket_opening.accept_value`.
            template: the scope of any other request, from `scope_template`.
        """
        self.connections.add(self)
        self.transport, self.server, self.client = http.transport, http.server, http.client
        self.scheme = "wss" if http.scheme == "https" else "ws"
        self._accept = accept
        self.conn.accept_called = self.handshake_initiated = True
        self.scope = self._make_scope(template, http.url, http.headers)
        self.queue.put_nowait({"type": "websocket.connect"})
        task = self.loop.create_task(self.run_asgi())
        task.add_done_callback(self.on_task_complete)
        self.tasks.add(task)

    def opening_headers(self) -> Headers:
        """The headers of the opening request."""
        return Headers((name.decode("ascii"), value.decode("latin-1")) for name, value in self.scope["headers"])

    def add_answer_header(self, name: str, value: str) -> None:
        """Add a header to the answer that opens the WebSocket."""
        if self._accept is None:
            self.response.headers[name] = value
        else:
            self._answer_headers += ((name.encode("ascii"), value.encode("ascii")),)

    async def send(self, message: Any) -> None:
        """Send an event of the application."""
        accept = self._accept
        if accept is not None and message["type"] == "websocket.accept" and not self._is_answered:
            self._accept = None
            has_headers = message.get("headers") or message.get("subprotocol")
            if not has_headers and self.writable.is_set():
                self._answer(accept)
                return
            self._prepare_response(accept)
        await super().send(message)

    @property
    def _is_answered(self) -> bool:
        return self.handshake_complete or self.initial_response is not None

    def _answer(self, accept: bytes) -> None:
        """Open the WebSocket, as uvicorn does for `websocket.accept`."""
        if self.logger.isEnabledFor(logging.INFO):
            target = get_path_with_query_string(self.scope)
            self.logger.info('%s - "WebSocket %s" [accepted]', get_client_addr(self.scope), target)
            self.logger.info("connection open")
        if self.transport.is_closing():
            return
        self.handshake_complete = True
        expect_frames(self.conn)
        self.conn.state = OPEN
        self.transport.write(encode_answer(accept, (*self._answer_headers, *self.default_headers)))
        start_keepalive = getattr(self, "start_keepalive", None)  # not in every version
        if start_keepalive is not None:
            start_keepalive()

    def _prepare_response(self, accept: bytes) -> None:
        """Prepare the answer for uvicorn, which adds headers to it and sends it."""
        # Uvicorn removes the date.
        headers = Headers({"Date": "", "Upgrade": "websocket", "Connection": "Upgrade"})
        headers["Sec-WebSocket-Accept"] = accept.decode("ascii")
        for name, value in self._answer_headers:
            headers[name.decode("ascii")] = value.decode("ascii")
        self.response = Response(
            HTTPStatus.SWITCHING_PROTOCOLS.value, HTTPStatus.SWITCHING_PROTOCOLS.phrase, headers
        )
        expect_frames(self.conn)

    def _make_scope(self, template: Mapping[str, Any], target: bytes, headers: list[Header]) -> Any:
        """The scope of the application, as uvicorn makes it without a root path."""
        path, _, query = target.partition(b"?")
        text = path.decode("ascii")
        return {
            **template,
            "asgi": {**template["asgi"], "version": self.config.asgi_version},
            "scheme": self.scheme,
            "server": self.server,
            "client": self.client,
            "path": unquote(text) if "%" in text else text,
            "raw_path": path,
            "query_string": query,
            "headers": headers,
            "subprotocols": [],
            "state": self.app_state.copy(),
            "extensions": {"websocket.http.response": {}},
        }
