"""One HTTP request under uvicorn and its response: runs the ASGI application and carries its messages.

It replaces uvicorn's `RequestResponseCycle`, whose behaviour it keeps, because a long poll costs less with it:

- The head of a response is sent with the first part of its body, in one write, as ASGI requires.
- It has slots, and events without deques: a connection with a waiting poll takes 1.7 KB less.

Knows uvicorn's protocol (see `uvicorn_contract`); must not know Socket.IO.

Source: ASGI specification, "HTTP & WebSocket ASGI Message Format" 2.4; RFC 9112, section 7.1, for chunks.
"""

import re
from asyncio import Transport
from collections.abc import Iterable, Mapping
from functools import lru_cache
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from zmqio.engine.compact_sync import CompactEvent

__all__ = ["ConnectionFlow", "RequestCycle", "refuse_request"]

JOIN_BYTES = 1 << 16
"""Most bytes of a body that are copied behind the head; a larger one is written by itself."""
_NOT_IN_NAME = re.compile(b'[\x00-\x1f\x7f()<>@,;:\\[\\]={} \t\\\\"]')
_NOT_IN_VALUE = re.compile(b"[\x00-\x08\x0a-\x1f\x7f]")
_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}
_BODILESS = (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)
_ERROR = b"Internal Server Error"
_REFUSAL = b"Service Unavailable"


class ConnectionFlow:
    """Whether a connection is read, and whether it takes data: uvicorn's `FlowControl` without a deque."""

    __slots__ = ("_transport", "_writable", "read_paused", "write_paused")

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self._writable: CompactEvent | None = None
        self.read_paused = False
        self.write_paused = False

    async def drain(self) -> None:
        """Wait until the connection takes data."""
        if self._writable is not None:
            await self._writable.wait()

    def pause_reading(self) -> None:
        """Stop reading."""
        if not self.read_paused:
            self.read_paused = True
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Resume reading."""
        if self.read_paused:
            self.read_paused = False
            self._transport.resume_reading()

    def pause_writing(self) -> None:
        """Make `drain` wait."""
        if not self.write_paused:
            self.write_paused = True
            self._writable = CompactEvent()

    def resume_writing(self) -> None:
        """End the wait of `drain`."""
        writable, self._writable = self._writable, None
        self.write_paused = False
        if writable is not None:
            writable.set()


class RequestCycle:
    """One request and its response.

    Args:
        protocol: uvicorn's HTTP protocol of the connection, whose current request this is.
        keep_alive: whether the connection stays open after the response.

    Attributes:
        body: received bytes that the application has not read.
        more_body: whether the request is incomplete.
        message_event: set when `receive` has something to return; see `half_closed`.
        disconnected: whether the client is gone, or sends nothing more.
        keep_alive: as above; cleared if the response closes the connection.
        response_started: whether the application has sent the head of its response.
        response_complete: whether the whole response was sent.
        transport: the transport of the connection.
    """

    __slots__ = (
        "_expects_100",
        "_head",
        "_is_chunked",
        "_left",
        "_protocol",
        "_scope",
        "body",
        "disconnected",
        "keep_alive",
        "message_event",
        "more_body",
        "response_complete",
        "response_started",
        "transport",
    )

    def __init__(self, protocol: Any, *, keep_alive: bool) -> None:
        self._protocol = protocol
        self.transport = protocol.transport
        self._scope: Any = protocol.scope
        self._expects_100: bool = protocol.expect_100_continue
        self._head = b""
        self._is_chunked = False
        self._left = 0
        self.body: bytes | bytearray = b""
        self.disconnected = False
        self.keep_alive = keep_alive
        self.message_event: Any = CompactEvent()
        self.more_body = True
        self.response_complete = False
        self.response_started = False

    def add_body(self, data: bytes) -> None:
        """Append received bytes."""
        if not self.body:
            self.body = data
        elif isinstance(self.body, bytearray):
            self.body += data
        else:
            self.body = bytearray(self.body + data)
        self.message_event.set()

    async def run_asgi(self, app: Any) -> None:
        """Run the application; answer with status 500, or close the connection, if it fails."""
        try:
            result = await app(self._scope, self.receive, self.send)
        except BaseException as error:  # noqa: BLE001 - also a cancelled request; logged with its traceback
            self._log("Exception in ASGI application\n", error)
        else:
            if result is not None:
                self._log(f"ASGI callable should return None, but returned '{result}'.")
                self.transport.close()
                return
            if self.response_complete or self.disconnected:
                return
            missing = "completing" if self.response_started else "starting"
            self._log(f"ASGI callable returned without {missing} response.")
        if self.response_started:
            self.transport.close()
        else:
            await self._send_error()

    async def receive(self) -> dict[str, Any]:
        """Return the next part of the request, or the client's disconnect."""
        if self._expects_100:
            self._expects_100 = False
            if not self.transport.is_closing():
                self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if not (self.disconnected or self.response_complete):
            self._protocol.flow.resume_reading()
            event = self.message_event
            if not event.is_set():
                await event.wait()
                event = self.message_event
            event.clear()
        if self.disconnected or self.response_complete:
            return {"type": "http.disconnect"}
        body, self.body = self.body, b""
        return {"type": "http.request", "body": bytes(body), "more_body": self.more_body}

    async def send(self, message: Mapping[str, Any]) -> None:
        """Send the head, or a part of the body.

        Raises:
            RuntimeError: the message is not the one that must follow, or contradicts Content-Length.
        """
        flow = self._protocol.flow
        if flow.write_paused and not self.disconnected:
            await flow.drain()
        if self.disconnected:
            return
        if not self.response_started:
            _require(message, "http.response.start")
            self.response_started = True
            self._expects_100 = False
            self._head = self._render_head(message["status"], message.get("headers", ()))
        elif not self.response_complete:
            _require(message, "http.response.body")
            self._send_body(message.get("body", b""), is_last=not message.get("more_body", False))
        else:
            raise RuntimeError(
                f"Unexpected ASGI message '{message['type']}' sent, after response already completed."
            )

    def _render_head(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
        if self._protocol.access_log:
            self._log_access(status)
        lines, is_framed, closes = [_status_line(status)], False, False
        for given, value in (*self._protocol.server_state.default_headers, *headers):
            name = _checked_name(given)
            if _NOT_IN_VALUE.search(value):
                raise RuntimeError("Invalid HTTP header value.")
            if name == b"content-length" and not is_framed:
                is_framed, self._left = True, int(value)
            elif name == b"transfer-encoding" and value.lower() == b"chunked":
                is_framed, self._left, self._is_chunked = True, 0, True
            elif name == b"connection" and b"close" in [token.strip() for token in value.lower().split(b",")]:
                closes, self.keep_alive = True, False
            lines += (name, b": ", value, b"\r\n")
        if not self.keep_alive and not closes:
            lines.append(b"connection: close\r\n")
        if not is_framed and status not in _BODILESS and self._scope["method"] != "HEAD":
            self._is_chunked = True
            lines.append(b"transfer-encoding: chunked\r\n")
        lines.append(b"\r\n")
        return b"".join(lines)

    def _send_body(self, body: bytes, *, is_last: bool) -> None:
        if self._scope["method"] == "HEAD":
            self._left, body = 0, b""
        elif self._is_chunked:
            body = _chunk(body, is_last=is_last)
        elif len(body) > self._left:
            raise RuntimeError("Response content longer than Content-Length")
        else:
            self._left -= len(body)
        self._write(body)
        if not is_last:
            return
        if self._left:
            raise RuntimeError("Response content shorter than Content-Length")
        self._complete()

    def _write(self, body: bytes) -> None:
        head, self._head = self._head, b""
        transport = self.transport
        if head and len(body) > JOIN_BYTES:
            transport.write(head)
            transport.write(body)
        elif head or body:
            transport.write(head + body if head else body)

    def _complete(self) -> None:
        self.response_complete = True
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self._protocol.on_response_complete()

    async def _send_error(self) -> None:
        await self.send({"type": "http.response.start", "status": 500, "headers": _error_headers(_ERROR)})
        await self.send({"type": "http.response.body", "body": _ERROR})

    def _log(self, message: str, error: BaseException | None = None) -> None:
        self._protocol.logger.error(message, exc_info=error)

    def _log_access(self, status: int) -> None:
        scope = self._scope
        client, query = scope["client"], scope["query_string"].decode("ascii", "replace")
        self._protocol.access_logger.info(
            '%s - "%s %s HTTP/%s" %d',  # uvicorn's formatter of access logs expects these five
            f"{client[0]}:{client[1]}" if client else "",
            scope["method"],
            quote(scope["path"]) + (f"?{query}" if query else ""),
            scope["http_version"],
            status,
        )


async def refuse_request(_scope: Any, _receive: Any, send: Any) -> None:
    """Answer a request beyond uvicorn's `limit_concurrency`; an ASGI application."""
    await send({"type": "http.response.start", "status": 503, "headers": _error_headers(_REFUSAL)})
    await send({"type": "http.response.body", "body": _REFUSAL})


def _error_headers(body: bytes) -> tuple[tuple[bytes, bytes], ...]:
    return (
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", b"%d" % len(body)),
        (b"connection", b"close"),
    )


def _require(message: Mapping[str, Any], expected: str) -> None:
    if message["type"] != expected:
        raise RuntimeError(f"Expected ASGI message '{expected}', but got '{message['type']}'.")


@lru_cache(maxsize=256)
def _checked_name(name: bytes) -> bytes:
    """The name of a header in lower case; applications send few different ones."""
    if _NOT_IN_NAME.search(name):
        raise RuntimeError("Invalid HTTP header name.")
    return name.lower()


def _status_line(status: int) -> bytes:
    return _STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status


def _chunk(body: bytes, *, is_last: bool) -> bytes:
    chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
    return chunk + b"0\r\n\r\n" if is_last else chunk
