"""A WebSocket protocol for uvicorn that lets the engine write encoded frames straight into the connection.

Use it as `uvicorn --ws zmqio.uvicorn:WebSocketProtocol` or
`Config(ws=WebSocketProtocol)`; `hosting.server.serve` does. Every other application runs on it as on uvicorn's
own, except that WebSocket compression is never negotiated (58-79 KB a connection with it, 16-28 KB without).
"""

import asyncio
from asyncio import TimerHandle
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import structlog
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from zmqio.engine.compact_sync import CompactEvent, CompactQueue
from zmqio.engine.direct_write import NO_FD, Frames
from zmqio.engine.websocket import EXTENSION, PENDING
from zmqio.engine.websocket_transports import WireListener
from zmqio.hosting.direct_fd import take_bare_fd

__all__ = ["WebSocketProtocol"]

log = structlog.get_logger(__name__)

Sink = Callable[[str | bytes], Awaitable[None] | None]

# What this class uses of uvicorn's, beyond the methods that it extends (0.35 to 0.54 have it all).
_NEEDED = ("close_sent", "conn", "loop", "queue", "read_paused", "scope", "transport", "writable")


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket protocol, which is also a `FastWire`."""

    fd = NO_FD
    _listener: WireListener | None = None
    _sink: Sink | None = None
    _abort_timer: TimerHandle | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if hasattr(self.conn, "available_extensions"):
            self.conn.available_extensions = []
        self._slim_down()

    # FastWire.

    def open(self, listener: WireListener) -> Frames | None:
        """Begin to serve an accepted WebSocket; None if this uvicorn lacks what it takes."""
        missing = [name for name in _NEEDED if not hasattr(self, name)]
        if missing or self.close_sent or self.transport.is_closing():
            if missing:
                log.warning("fast_websocket_unavailable", missing=missing)
            return None
        self._listener = listener
        stop_keepalive = getattr(self, "stop_keepalive", None)
        if stop_keepalive is not None:
            stop_keepalive()  # Engine.IO has its own heartbeat
        self._extensions.pop(EXTENSION, None)
        # uvicorn reads them in the handshake only, and they are some 3 KB of headers.
        self.request = self.response = None  # type: ignore[assignment]
        self.fd = take_bare_fd(self.transport)
        if self.fd != NO_FD and self.transport.get_write_buffer_size():
            self.pause_writing()  # a transport that is paused already has told it to the HTTP protocol before
        return self.transport.write

    def listen(self, sink: Sink) -> None:
        """Hand messages to `sink` from now on, unless some still wait for `receive()`."""
        if self._listener is not None and self.queue.empty():
            self._sink = sink

    def abort(self) -> None:
        """Drop the connection."""
        self._leave()
        self.transport.abort()

    def abort_in(self, delay_s: float) -> None:
        """Drop the connection if it is still there after that time."""
        self._abort_timer = self.loop.call_later(delay_s, self.abort)

    # uvicorn's protocol.

    def run_asgi(self) -> Coroutine[Any, Any, None]:
        """Run the application; it finds this object in its scope."""
        self._extensions[EXTENSION] = self
        return super().run_asgi()

    async def send(self, message: Any) -> None:
        """Send what the application says.

        One that answers the opening request with an HTTP response has completed the handshake. uvicorn (0.54) does
        not note it, and logs an error for each client that is refused so.
        """
        await super().send(message)
        if self.close_sent and getattr(self, "initial_response", None) is not None:
            self.handshake_complete = True

    def handle_text(self, event: Any) -> None:
        """Take a text frame."""
        if self._sink is None or not event.fin or self.close_sent:
            self._sink = None  # the rest of a fragmented message comes in this way, too
            super().handle_text(event)
            return
        try:
            text = str(event.data, "utf-8")
        except UnicodeDecodeError:
            self._sink = None
            super().handle_text(event)  # uvicorn closes with 1007
            return
        self._hand_over(self._sink, text)

    def handle_bytes(self, event: Any) -> None:
        """Take a binary frame."""
        if self._sink is None or not event.fin or self.close_sent:
            self._sink = None
            super().handle_bytes(event)
        else:
            self._hand_over(self._sink, bytes(event.data))

    def handle_close(self, event: Any) -> None:
        """Take a Close frame."""
        self._leave()
        super().handle_close(event)

    def handle_parser_exception(self) -> None:
        """The client broke the WebSocket protocol."""
        self._leave()
        super().handle_parser_exception()

    def shutdown(self) -> None:
        """uvicorn ends."""
        self._leave()
        super().shutdown()

    def eof_received(self) -> None:
        """The client sends nothing more, and did not close the WebSocket before: its connection ends now."""
        self._leave()
        super().eof_received()

    def pause_writing(self) -> None:
        """The connection has more to send than it should."""
        super().pause_writing()
        if self._listener is not None:
            self._listener.paused()

    def resume_writing(self) -> None:
        """The connection takes data again."""
        super().resume_writing()
        if self._listener is not None:
            self._listener.resumed()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._leave()
        if self._abort_timer is not None:
            self._abort_timer.cancel()
        self.writable.set()  # whoever waits to write must not wait for ever (uvicorn 0.35 leaves it)
        super().connection_lost(exc)

    @property
    def _extensions(self) -> dict[Any, Any]:
        extensions: dict[Any, Any] = self.scope["extensions"]
        return extensions

    def _slim_down(self) -> None:
        """Replace what uvicorn has of asyncio's queues and events while nobody uses it yet: 3 KB a connection."""
        if isinstance(getattr(self, "queue", None), asyncio.Queue):
            self.queue = CompactQueue()  # type: ignore[assignment]
        if isinstance(getattr(self, "writable", None), asyncio.Event):
            self.writable = CompactEvent()  # type: ignore[assignment]
            self.writable.set()

    def _hand_over(self, sink: Sink, data: str | bytes) -> None:
        pending = sink(data)
        if pending is None:
            return
        self._sink = None
        event: Any = {"type": PENDING, "awaitable": pending}
        self.queue.put_nowait(event)
        if not self.read_paused:
            self.read_paused = True
            self.transport.pause_reading()

    def _leave(self) -> None:
        listener, self._listener, self._sink = self._listener, None, None
        if listener is not None:
            listener.lost()
