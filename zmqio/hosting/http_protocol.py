"""Uvicorn's HTTP protocol with limits on what one connection can make the server keep, and some repairs.

Use it as `uvicorn --http zmqio.uvicorn:HttpProtocol`; `hosting.server.serve` does so by itself.

- The parser gets one request at a time. While a request is answered, the bytes behind it wait unparsed. Beyond
  `MAX_WAITING_BYTES` of them, reading stops; the last read may exceed that by up to 256 KiB.
- `HttpLimits` limits the size and the time of each request head, and the time during which a client reads nothing.
- An offer to upgrade to anything but WebSocket is ignored; the request keeps its body.
- TCP_NODELAY is always set, and half-closed clients get their answer (see `half_closed`).

Knows uvicorn's protocol (see `uvicorn_contract`).
"""

import asyncio
import socket
from contextvars import Context
from typing import Any, ClassVar
from urllib.parse import unquote

from httptools import HttpParserError, HttpParserUpgrade, parse_url
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from zmqio.config import HttpLimits, http_limits_from_environment
from zmqio.engine.handshake import PEER
from zmqio.hosting import http_rejections
from zmqio.hosting.declined_upgrade import parser_without_upgrade
from zmqio.hosting.direct_fd import tcp_transports
from zmqio.hosting.full_process import refuse_if_full
from zmqio.hosting.half_closed import answer_half_closed
from zmqio.hosting.http_rejections import FEW_HEAD_BYTES, Rejection
from zmqio.hosting.request_cut import cut_chunks, cut_head, keep_tail
from zmqio.hosting.request_cycle import ConnectionFlow, RequestCycle, refuse_request
from zmqio.hosting.websocket_opening import accept_value
from zmqio.hosting.websocket_protocol import WebSocketProtocol
from zmqio.hosting.websocket_takeover import scope_template

__all__ = ["HttpProtocol"]

MAX_WAITING_BYTES = 1 << 14
"""Bytes behind an unanswered request beyond which reading stops. A paused connection detects no disconnect."""
MAX_BODY_BYTES = 1 << 16
"""Bytes of a body that the application has not read, beyond which reading stops. Source: uvicorn."""
LINGER_S = 1.0
"""Seconds for which bytes are discarded after a rejection: with unread bytes, the kernel drops the answer."""
_TCP_FAMILIES = (socket.AF_INET, socket.AF_INET6)


class HttpProtocol(HttpToolsProtocol):
    """Uvicorn's HTTP protocol with limits and repairs."""

    limits: ClassVar[HttpLimits] = http_limits_from_environment()

    # More than 30 attributes in `__dict__`, uvicorn's included, would take 1.5 KB for each connection.
    __slots__ = (
        "_body_left",
        "_head_bytes",
        "_head_tail",
        "_head_timer",
        "_idle_until_s",
        "_in_body",
        "_is_half_closed",
        "_is_over",
        "_is_paused",
        "_is_upgrade_declined",
        "_waiting",
        "_waiting_start",
        "_write_timer",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.pipeline = ()  # type: ignore[assignment]  # always empty: the parser gets one request at a time
        # Received bytes, of which those from `_waiting_start` on are not parsed.
        self._waiting = b""
        self._waiting_start = 0
        self._is_paused = self._is_half_closed = False
        # Whether this object parses nothing more: the request was rejected, or the connection upgraded.
        self._is_over = False
        self._is_upgrade_declined = False
        self._in_body = False
        # Bytes of the body that are not received; 0 if the body comes in chunks.
        self._body_left = 0
        # Bytes of the head, or in chunks since the last byte of the body.
        self._head_bytes = 0
        self._head_tail = b""
        self._head_timer: asyncio.TimerHandle | None = None
        self._idle_until_s: float | None = None  # None while a request is under way
        self._write_timer: asyncio.TimerHandle | None = None

    # Callbacks of the transport.

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to serve a connection. It is refused if too few descriptors are free."""
        connection = transport.get_extra_info("socket")
        if type(transport) in tcp_transports():
            self._begin_tcp(transport)
        else:
            _set_nodelay(connection)
            super().connection_made(transport)
        self.flow = ConnectionFlow(transport)  # type: ignore[assignment]  # it has the same interface
        if connection is not None and refuse_if_full(transport, connection.fileno()):
            self._is_over = True
            return
        self._start_head_timer()

    def data_received(self, data: bytes) -> None:
        """Parse received bytes, up to the end of the first request without an answer."""
        self._idle_until_s = None
        if self._is_over:
            return
        if self._waiting:
            data = self._waiting[self._waiting_start :] + data
        self._parse(data, 0)

    def eof_received(self) -> bool:  # type: ignore[override]  # asyncio's signature; uvicorn's returns None
        """Handle the end of the client's data; return whether the connection stays open for an answer.

        Under TLS it never does, because asyncio can close only both sides.
        """
        if self._is_over or self.transport.get_extra_info("sslcontext") is not None:
            return False
        self._is_half_closed = True
        return answer_half_closed(self.cycle, self.transport.close, is_last=not self._waiting)

    def pause_writing(self) -> None:
        """Stop the application's writes, and limit the time until the client reads."""
        super().pause_writing()
        self._watch_writes()

    def resume_writing(self) -> None:
        """Resume the application's writes."""
        super().resume_writing()
        if self._write_timer is not None and not self.transport.is_closing():
            self._write_timer.cancel()
            self._write_timer = None

    def connection_lost(self, exc: Exception | None) -> None:
        """Release what the connection has kept."""
        self._waiting = b""
        self._is_over = True
        self._stop_head_timer()
        self._unset_keepalive_if_required()
        if self._write_timer is not None:
            self._write_timer.cancel()
        super().connection_lost(exc)
        self.cycle = None  # type: ignore[assignment]  # each refers to the other, so only a collection would free them

    # Callbacks of the parser.

    def on_message_begin(self) -> None:
        """Note the peer of the connection, which uvicorn replaces by an address from X-Forwarded-For."""
        super().on_message_begin()
        self.scope["extensions"] = {PEER: self.client[0] if self.client else None}  # type: ignore[dict-item]

    def on_headers_complete(self) -> None:
        """Start the request, unless its head has too many fields."""
        if self._head_bytes > FEW_HEAD_BYTES:
            excess = http_rejections.excess_of_fields(self.headers)
            if excess is not None:
                self._reject(excess)
                return
        self._in_body = True
        self._head_bytes = 0
        if self._head_timer is not None:
            self._stop_head_timer()
        self.scope["method"] = self.parser.get_method().decode("ascii")
        if self.parser.should_upgrade():
            self._is_upgrade_declined = not self._should_upgrade()
            if not self._is_upgrade_declined:
                return
        self._start_request()

    def on_body(self, body: bytes) -> None:
        """Pass bytes of the body to the application."""
        self._head_bytes = 0
        cycle: Any = self.cycle
        if cycle is not None and not cycle.response_complete:
            cycle.add_body(body)
            if len(cycle.body) > MAX_BODY_BYTES:
                self.flow.pause_reading()

    def on_message_complete(self) -> None:
        """Mark the request as complete, unless its body follows an upgrade that is declined."""
        if self._is_over or self._is_upgrade_declined:
            return
        self._in_body = False
        self._head_bytes = 0
        cycle = self.cycle
        super().on_message_complete()
        if cycle is not None and cycle.response_complete:
            self._start_head_timer()  # uvicorn's keep-alive timer ended with the rest of the body

    def handle_websocket_upgrade(self) -> None:
        """Pass the connection to the WebSocket protocol, with the parsed request if that has the usual form."""
        template, accept = scope_template(), None
        if template is not None and self._passes_parsed_requests:
            accept = accept_value(self.url, self.headers)
        if template is None or accept is None:
            super().handle_websocket_upgrade()
            return
        self.connections.discard(self)
        protocol = WebSocketProtocol(config=self.config, server_state=self.server_state, app_state=self.app_state)
        protocol.take_over(self, accept, template)
        self.transport.set_protocol(protocol)

    @property
    def _passes_parsed_requests(self) -> bool:
        return self.ws_protocol_class is WebSocketProtocol and not self.root_path and self.scope["method"] == "GET"

    # Callbacks of the request.

    def on_response_complete(self) -> None:
        """Continue with the bytes behind the request."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            self._waiting = b""
            self._watch_writes()
            return
        self.flow.resume_reading()
        if self._waiting:
            self._parse(self._waiting, self._waiting_start)
            return
        self._start_keep_alive()
        if self._in_body:
            self._start_head_timer()

    def timeout_keep_alive_handler(self) -> None:
        """Close a connection that has been idle for long, also if its client has not read the last answer."""
        self.timeout_keep_alive_task = None
        if self._idle_until_s is None or self.transport.is_closing():
            return
        left_s = self._idle_until_s - self.loop.time()
        if left_s > 0:
            self.timeout_keep_alive_task = self.loop.call_later(left_s, self.timeout_keep_alive_handler)
        else:
            self.transport.close()
            self._watch_writes()

    # Requests.

    def _start_request(self) -> None:
        """Run the application for the request whose head is complete."""
        version = self.parser.get_http_version()
        scope: Any = self.scope
        if version != "1.1":
            scope["http_version"] = version
        url = parse_url(self.url)
        path = url.path.decode("ascii")
        scope["path"] = self.root_path + (unquote(path) if "%" in path else path)
        scope["raw_path"] = self.root_path.encode("ascii") + url.path
        scope["query_string"] = url.query or b""
        cycle = RequestCycle(self, keep_alive=version != "1.0" and self.parser.should_keep_alive())
        self.cycle = cycle  # type: ignore[assignment]  # it has what uvicorn's class uses of its own
        context = Context() if getattr(self.config, "reset_contextvars", False) else None
        task = self.loop.create_task(cycle.run_asgi(self._app_or_refusal()), context=context)
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)

    def _app_or_refusal(self) -> Any:
        limit = self.limit_concurrency
        if limit is None or max(len(self.connections), len(self.tasks)) < limit:
            return self.app
        self.logger.warning("Exceeded concurrency limit.")
        return refuse_request

    def _begin_tcp(self, transport: asyncio.Transport) -> None:
        """As uvicorn, which asks the connection's socket: uvloop makes a temporary one for each answer.

        uvloop has set TCP_NODELAY.
        """
        self.connections.add(self)
        self.transport = transport
        peer, server = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
        self.client = peer and peer[:2]
        self.server = server and server[:2]
        self.scheme = "http"

    # Parsing.

    def _parse(self, data: bytes, start: int) -> None:
        """Parse `data` from `start` on, up to the end of the first request without an answer."""
        self._waiting = b""
        while start < len(data) and not self._is_over:
            if self._in_body:
                start = self._parse_body(data, start)
            elif self.cycle is None or self.cycle.response_complete:
                start = self._parse_head(data, start)
            else:
                self._wait(data, start)
                return
        if self._is_over and start < len(data):
            self._pass_on(data[start:])
        if self._is_paused and not self._is_over:
            self._is_paused = False
            if not self.flow.read_paused:
                self.transport.resume_reading()
        if self._is_half_closed and not answer_half_closed(self.cycle, self.transport.close):
            self.transport.close()

    def _pass_on(self, rest: bytes) -> None:
        """Pass what follows the opening request of a WebSocket to its protocol."""
        protocol = self.transport.get_protocol()
        if protocol is not self and isinstance(protocol, asyncio.Protocol):
            protocol.data_received(rest)

    def _wait(self, data: bytes, start: int) -> None:
        self._waiting, self._waiting_start = data, start
        if len(data) - start > MAX_WAITING_BYTES:
            self._is_paused = True
            self.transport.pause_reading()
        if self._is_half_closed:
            answer_half_closed(self.cycle, self.transport.close, is_last=False)

    def _parse_head(self, data: bytes, start: int) -> int:
        """Parse bytes up to the end of a head; return the index behind them."""
        end = cut_head(data, start, self._head_tail)
        self._head_bytes += end - start
        if self._head_bytes > self.limits.max_head_bytes:
            self._reject(http_rejections.head_too_large(self.limits))
            return end
        part = data[start:end]
        self._feed(part)
        if self._is_over:
            return end
        if self._head_bytes:  # the head is incomplete
            if self._head_bytes == len(part) or self._head_timer is None:
                self._start_head_timer()
            self._head_tail = keep_tail(self._head_tail, part)
        else:
            self._head_tail = b""
            if self._in_body:
                self._begin_body()
        return end

    def _parse_body(self, data: bytes, start: int) -> int:
        """Parse bytes of a body; return the index behind them."""
        if self._body_left:
            end = min(start + self._body_left, len(data))
            self._body_left -= end - start
        else:
            end = cut_chunks(data, start)
            self._head_bytes += end - start
            if self._head_bytes > self.limits.max_head_bytes:
                self._reject(http_rejections.head_too_large(self.limits))
                return end
        self._feed(data[start:end])
        return end

    def _begin_body(self) -> None:
        """Find out the size of the body. Keep trailers out of the headers that the application reads."""
        for name, value in self.headers:
            if name == b"content-length":
                self._body_left = int(value)
                return
        self._body_left = 0
        self.headers = []

    def _feed(self, part: bytes) -> None:
        try:
            self.parser.feed_data(part)
        except HttpParserUpgrade as upgrade:
            self._upgrade(part[upgrade.args[0] :])
        except HttpParserError:
            self._reject(http_rejections.MALFORMED)

    def _upgrade(self, rest: bytes) -> None:
        if self._is_upgrade_declined:
            self._is_upgrade_declined = False
            self.parser = parser_without_upgrade(self, self.headers)
            if rest:
                self._feed(rest)
        elif not self._is_over:
            self._is_over = True
            self._stop_head_timer()
            self._unset_keepalive_if_required()
            self.handle_websocket_upgrade()
            self.parser = None  # type: ignore[assignment]  # each refers to the other

    # Limits.

    def _reject(self, rejection: Rejection) -> None:
        """Answer with an error, unless another answer has begun, and close the connection."""
        self._is_over = True
        self._stop_head_timer()
        http_rejections.count_rejection(rejection, self.client)
        cycle = self.cycle
        is_answering = cycle is not None and not cycle.response_complete
        if is_answering:
            cycle.disconnected = True
            cycle.message_event.set()
        if not (is_answering and cycle.response_started):
            self.transport.write(http_rejections.response_to(rejection))
        self._close_after_reading()

    def _close_after_reading(self) -> None:
        """Discard input for `LINGER_S`, then close: with unread bytes, the kernel would drop the answer."""
        if not self.transport.can_write_eof():
            self.transport.close()
            self._watch_writes()
            return
        self.transport.write_eof()
        self.transport.resume_reading()
        self._head_timer = self.loop.call_later(LINGER_S, self.transport.abort)

    def _start_keep_alive(self) -> None:
        """Limit the time until the next request. A running timer is left alone and looks at the time itself."""
        self._idle_until_s = self.loop.time() + self.timeout_keep_alive
        if self.timeout_keep_alive_task is None:
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def _start_head_timer(self) -> None:
        self._stop_head_timer()
        self._head_timer = self.loop.call_later(self.limits.head_limit_s, self._end_head)

    def _stop_head_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _end_head(self) -> None:
        """Close a connection whose client has not completed a head, or the rest of an answered request."""
        self._head_timer = None
        if self._in_body or not self._head_bytes:
            self.transport.close()
            self._watch_writes()
        else:
            self._reject(http_rejections.head_timed_out(self.limits))

    def _watch_writes(self) -> None:
        """Limit the time during which the client reads nothing of the bytes that wait for it."""
        size = self.transport.get_write_buffer_size()
        if size and self._write_timer is None:
            self._write_timer = self.loop.call_later(self.limits.write_timeout_s, self._check_writes, size)

    def _check_writes(self, size_before: int) -> None:
        self._write_timer = None
        if self.transport.get_write_buffer_size() < size_before:
            self._watch_writes()
        else:
            http_rejections.count_rejection(http_rejections.answer_unread(self.limits), self.client)
            self.transport.abort()


def _set_nodelay(connection: Any) -> None:
    """Set TCP_NODELAY, so that a small packet does not wait 20 to 40 ms for the one before it.

    asyncio sets it only on sockets that it recognises as TCP. It misses connections whose listener was created
    without a protocol number.
    """
    if connection is not None and connection.family in _TCP_FAMILIES:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
