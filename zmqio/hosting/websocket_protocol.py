"""A WebSocket protocol for uvicorn through which the engine writes encoded frames directly into the connection.

Use it as `uvicorn --ws zmqio.uvicorn:WebSocketProtocol`; `hosting.server.serve` does so by itself. Other
applications run on it as on uvicorn's own protocol, except that WebSocket compression is never negotiated. A
connection takes 58-79 KB with compression and 16-28 KB without.

Knows uvicorn's WebSocket protocol (see `uvicorn_contract`) and the engine's `DirectWire`.
"""

import asyncio
from asyncio import TimerHandle
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from zmqio.engine.compact_sync import CompactEvent, CompactQueue
from zmqio.engine.direct_write import NO_FD, Frames
from zmqio.engine.handshake import PEER
from zmqio.engine.websocket import EXTENSION, PENDING
from zmqio.engine.websocket_transports import WireListener
from zmqio.hosting.direct_fd import open_direct_fd

__all__ = ["WebSocketProtocol"]

Sink = Callable[[str | bytes], Awaitable[None] | None]


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """Uvicorn's WebSocket protocol, extended to a `DirectWire`."""

    fd = NO_FD
    _listener: WireListener | None = None
    _sink: Sink | None = None
    _abort_timer: TimerHandle | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.conn.available_extensions = []
        self._replace_idle_buffers()

    # `DirectWire`.

    def open(self, listener: WireListener, *, direct_writes: bool) -> Frames | None:
        """Serve an accepted WebSocket directly; None if it is closing."""
        if self.close_sent or self.transport.is_closing():
            return None
        self._listener = listener
        stop_keepalive = getattr(self, "stop_keepalive", None)
        if stop_keepalive is not None:
            stop_keepalive()  # Engine.IO has its own heartbeats
        self._extensions.pop(EXTENSION, None)
        # Some 3 KB of headers, which uvicorn reads only during the handshake.
        self.request = self.response = None  # type: ignore[assignment]
        self.fd = open_direct_fd(self.transport) if direct_writes else NO_FD
        if self.fd != NO_FD and self.transport.get_write_buffer_size():
            self.pause_writing()  # the transport has notified only the HTTP protocol before it
        return self.transport.write

    def listen(self, sink: Sink) -> None:
        """Pass messages to `sink` from now on, unless `receive()` has yet to return earlier ones."""
        if self._listener is not None and self.queue.empty():
            self._sink = sink

    def abort(self) -> None:
        """Drop the connection at once."""
        self._detach()
        self.transport.abort()

    def abort_in(self, delay_s: float) -> None:
        """Drop the connection after `delay_s` seconds, unless it is closed by then."""
        self._abort_timer = self.loop.call_later(delay_s, self.abort)

    # Uvicorn's protocol.

    def run_asgi(self) -> Coroutine[Any, Any, None]:
        """Run the application with this object, and the peer of the connection, in its scope."""
        self._extensions[EXTENSION] = self
        self._extensions[PEER] = self.client[0] if self.client else None
        return super().run_asgi()

    async def send(self, message: Any) -> None:
        """Send an event of the application.

        An HTTP response to the opening request completes the handshake. Uvicorn (0.54) does not record that, and
        logs an error for each client that is refused in this way.
        """
        await super().send(message)
        if self.close_sent and getattr(self, "initial_response", None) is not None:
            self.handshake_complete = True

    def handle_text(self, event: Any) -> None:
        """Handle a text frame."""
        if self._sink is None or not event.fin or self.close_sent:
            self._sink = None  # the other fragments of the message follow the same way
            super().handle_text(event)
            return
        try:
            text = str(event.data, "utf-8")
        except UnicodeDecodeError:
            self._sink = None
            super().handle_text(event)  # closes with 1007
            return
        self._pass_to(self._sink, text)

    def handle_bytes(self, event: Any) -> None:
        """Handle a binary frame."""
        if self._sink is None or not event.fin or self.close_sent:
            self._sink = None
            super().handle_bytes(event)
        else:
            self._pass_to(self._sink, bytes(event.data))

    def handle_close(self, event: Any) -> None:
        """Handle a Close frame."""
        self._detach()
        super().handle_close(event)

    def handle_parser_exception(self) -> None:
        """Close the connection after a violation of the WebSocket protocol."""
        self._detach()
        super().handle_parser_exception()

    def shutdown(self) -> None:
        """Close the connection because the server stops."""
        self._detach()
        super().shutdown()

    def eof_received(self) -> None:
        """Handle the end of the client's data without a Close frame, which ends the connection."""
        self._detach()
        super().eof_received()

    def pause_writing(self) -> None:
        """Stop direct writes: the transport's buffer is full."""
        super().pause_writing()
        if self._listener is not None:
            self._listener.paused()

    def resume_writing(self) -> None:
        """Allow direct writes again."""
        super().resume_writing()
        if self._listener is not None:
            self._listener.resumed()

    def connection_lost(self, exc: Exception | None) -> None:
        """Handle the loss of the connection."""
        self._detach()
        if self._abort_timer is not None:
            self._abort_timer.cancel()
        self.writable.set()  # releases a pending `send`; uvicorn 0.36 does not
        super().connection_lost(exc)

    @property
    def _extensions(self) -> dict[Any, Any]:
        extensions: dict[Any, Any] = self.scope["extensions"]
        return extensions

    def _replace_idle_buffers(self) -> None:
        """Replace uvicorn's unused queue and event by smaller ones, which saves 3 KB per connection."""
        if isinstance(getattr(self, "queue", None), asyncio.Queue):
            self.queue = CompactQueue()  # type: ignore[assignment]
        if isinstance(getattr(self, "writable", None), asyncio.Event):
            self.writable = CompactEvent()  # type: ignore[assignment]
            self.writable.set()

    def _pass_to(self, sink: Sink, data: str | bytes) -> None:
        pending = sink(data)
        if pending is None:
            return
        self._sink = None
        event: Any = {"type": PENDING, "awaitable": pending}
        self.queue.put_nowait(event)
        if not self.read_paused:
            self.read_paused = True
            self.transport.pause_reading()

    def _detach(self) -> None:
        listener, self._listener, self._sink = self._listener, None, None
        if listener is not None:
            listener.lost()
