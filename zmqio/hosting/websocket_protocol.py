"""A WebSocket protocol for uvicorn through which the engine writes encoded frames directly into the connection.

Use it as `uvicorn --ws zmqio.uvicorn:WebSocketProtocol`; `hosting.server.serve` does so by itself. Other
applications run on it as on uvicorn's own protocol, with these differences:

- WebSocket compression is negotiated only for the engine, if its option is set, and without context takeover. With
  uvicorn's own compression a connection takes 58-79 KB, without it 16-28 KB.
- Large input is parsed in slices, one per iteration of the event loop; the rest of one frame is never sliced.
  Input that arrives before the WebSocket is accepted is parsed afterwards.
- Pongs wait while the client does not read. A later pong replaces an earlier one.
- After invalid or too large frames, the client's further input is discarded for a short time, so that the client
  receives the Close frame. A closing connection whose client does not read is dropped.
- With `--no-access-log`, there are no log lines for each WebSocket.

Knows uvicorn's WebSocket protocol (see `uvicorn_contract`) and the engine's `DirectWire`.
"""

from asyncio import Task, TimerHandle
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any
from zlib import MAX_WBITS

from websockets.exceptions import InvalidHandshake
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory

from zmqio.engine.compact_sync import CompactEvent, CompactQueue
from zmqio.engine.direct_write import NO_FD, Frames
from zmqio.engine.handshake import PEER
from zmqio.engine.session import TOO_LARGE
from zmqio.engine.websocket import EXTENSION, PENDING, VIOLATION
from zmqio.engine.websocket_transports import CLOSE_HANDSHAKE_S, WireListener
from zmqio.hosting.direct_fd import open_direct_fd
from zmqio.hosting.websocket_input import (
    COMPRESSED_SLICE_BYTES,
    MAX_FRAGMENTS,
    SLICE_BYTES,
    FragmentedMessage,
    SlicedInput,
    bytes_to_frame_end,
    is_between_frames,
    split_pongs,
    whole_text,
)
from zmqio.hosting.websocket_log import connection_logger
from zmqio.hosting.websocket_takeover import TakeoverProtocol

__all__ = ["WebSocketProtocol"]

DISCARD_S = 2.0
"""Seconds for which input is discarded after a violation: some round trips, until the client reads the close."""
INVALID_DATA = 1007
_DEFLATE = ServerPerMessageDeflateFactory(server_no_context_takeover=True, client_no_context_takeover=True)

Sink = Callable[[str | bytes], Awaitable[None] | None]


class WebSocketProtocol(TakeoverProtocol):
    """Uvicorn's WebSocket protocol, extended to a `DirectWire`."""

    __slots__ = (
        "_abort_timer",
        "_ignores_pings",
        "_input",
        "_is_between_frames",
        "_is_discarding",
        "_listener",
        "_message",
        "_parses_at_once",
        "_pong",
        "_sink",
        "_whole_bytes",
        "compresses",
        "fd",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fd = NO_FD
        self.compresses = False
        self._listener: WireListener | None = None
        self._sink: Sink | None = None
        self._abort_timer: TimerHandle | None = None
        # Whether small input may be parsed when it arrives: after the handshake, unless earlier input waits.
        self._parses_at_once = False
        # Whether the next byte of input begins a frame, as far as known.
        self._is_between_frames = False
        # Most bytes of input that may be read as one whole message without the parser, which checks limits.
        self._whole_bytes = 0
        self._input: SlicedInput | None = None
        self._message: FragmentedMessage | None = None
        self._pong: bytes | None = None
        # Whether reading is paused because the client sends pings and does not read the pongs.
        self._ignores_pings = False
        self._is_discarding = False
        self.conn.available_extensions = []
        self.logger = self.conn.logger = connection_logger(access_log=self.config.access_log)
        # Instead of uvicorn's, which take 3 KB more while they are idle.
        self.queue: CompactQueue[Any] = CompactQueue()  # type: ignore[assignment]
        self.writable = CompactEvent()  # type: ignore[assignment]
        self.writable.set()

    # `DirectWire`.

    def limit_messages(self, max_bytes: int) -> None:
        """Close the WebSocket with 1009 at the header of the frame with which a message exceeds `max_bytes`."""
        for name in ("max_message_size", "max_size"):  # websockets 15 has renamed it
            if hasattr(self.conn, name):
                limit = getattr(self.conn, name)
                most = max_bytes if limit is None else min(limit, max_bytes)
                setattr(self.conn, name, most)
                self._whole_bytes = min(most, SLICE_BYTES)

    def negotiate_compression(self) -> None:
        """Accept an offer of permessage-deflate without context takeover: no memory for each connection."""
        self.conn.available_extensions = [_DEFLATE]
        try:
            answer, extensions = self.conn.process_extensions(self.opening_headers())
        except InvalidHandshake:
            return  # no offer of a client that can use it
        if answer is None or any(getattr(each, "local_max_window_bits", 0) != MAX_WBITS for each in extensions):
            return  # broadcasts are compressed for all clients with one window
        self.conn.extensions = extensions
        self.add_answer_header("Sec-WebSocket-Extensions", answer)
        self.compresses = True

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
            self._is_between_frames = is_between_frames(self.conn)

    def abort(self) -> None:
        """Drop the connection at once."""
        self._detach()
        self.transport.abort()

    def abort_in(self, delay_s: float) -> None:
        """Drop the connection after `delay_s` seconds or an earlier limit, unless it is closed by then."""
        if self._abort_timer is None:
            self._abort_timer = self.loop.call_later(delay_s, self.abort)

    # Uvicorn's protocol: the application.

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
        if self.close_sent:
            if getattr(self, "initial_response", None) is not None:
                self.handshake_complete = True
            self.abort_in(CLOSE_HANDSHAKE_S)
        if message["type"] != "websocket.send":
            self._continue_reading()

    async def receive(self) -> Any:
        """Return the next event for the application; read on when it has taken all of them."""
        queue = self.queue
        while queue.empty():
            await queue.filled()
        message = queue.get_nowait()
        if self.read_paused and queue.empty():
            self.read_paused = False
            self._continue_reading()
        return message

    # Uvicorn's protocol: input.

    def data_received(self, data: bytes) -> None:
        """Parse input, at once or in slices."""
        size = len(data)
        if (
            self._is_between_frames
            and self._sink is not None
            and size <= self._whole_bytes
            and self._parses_at_once
            and self._message is None
            and (text := whole_text(data)) is not None
        ):
            self._deliver(text, is_text=True)
        elif self._parses_at_once and (
            size <= self._slice_bytes or size <= self._slice_bytes + bytes_to_frame_end(self.conn)
        ):
            self._parse(data)
        elif not self.handshake_initiated:
            self._parse(data)  # the opening request
        elif not self._is_discarding:
            self._hold(data)

    def handle_text(self, event: Any) -> None:
        """Handle the first or only frame of a text message."""
        self._begin_message(event, is_text=True)

    def handle_bytes(self, event: Any) -> None:
        """Handle the first or only frame of a binary message."""
        self._begin_message(event, is_text=False)

    def handle_cont(self, event: Any) -> None:
        """Handle a further frame of a message."""
        message = self._message
        if message is None:
            return
        message.add(event.data)
        if event.fin:
            self._message = None
            self._deliver(message.data, is_text=message.is_text)
        elif message.fragments >= MAX_FRAGMENTS:
            self._fail(TOO_LARGE, f"message of more than {MAX_FRAGMENTS} fragments")

    def handle_ping(self) -> None:
        """Answer pings, of which several may have arrived."""
        pong, others = split_pongs(self.conn.data_to_send())
        if pong is not None and not self.close_sent:
            self._send_pong(pong)
        if others:
            self.transport.write(others)  # the answer to a Close frame behind the pings

    def handle_close(self, event: Any) -> None:
        """Handle a Close frame."""
        self._detach()
        super().handle_close(event)
        if not self.writable.is_set():
            self.transport.abort()  # the client has stopped reading before it closed

    def handle_parser_exception(self) -> None:
        """Send a Close frame after a violation of the WebSocket protocol, and discard what the client still sends.

        Closing at once would make the system reset the connection, and the client might never see the Close frame.
        """
        self._detach()
        close = self.conn.close_sent
        if close is None:
            self.transport.abort()
            return
        if not self.close_sent:
            event: Any = {"type": "websocket.disconnect", "code": int(close.code), "reason": close.reason}
            self.queue.put_nowait(event | {VIOLATION: True})
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.close_sent = True
        self._discard_input()

    def shutdown(self) -> None:
        """Close the connection because the server stops."""
        self._detach()
        if self.close_sent:
            if not self._is_discarding:
                self.transport.close()
        elif not self.transport.is_closing():
            super().shutdown()
        self.abort_in(CLOSE_HANDSHAKE_S)

    def eof_received(self) -> None:
        """Handle the end of the client's data without a Close frame, which ends the connection."""
        self._detach()
        super().eof_received()
        self.abort_in(CLOSE_HANDSHAKE_S)

    def keepalive_timeout(self) -> None:
        """Close a connection that has not answered a ping of uvicorn's."""
        super().keepalive_timeout()
        self.abort_in(CLOSE_HANDSHAKE_S)

    def pause_writing(self) -> None:
        """Stop direct writes: the transport's buffer is full."""
        super().pause_writing()
        if self._listener is not None:
            self._listener.paused()

    def resume_writing(self) -> None:
        """Allow direct writes again."""
        super().resume_writing()
        pong, self._pong = self._pong, None
        if pong is not None and not self.close_sent:
            self.transport.write(pong)
        if not self.writable.is_set():
            return  # the pong has filled the buffer
        if self._listener is not None:
            self._listener.resumed()
        if self._ignores_pings:
            self._ignores_pings = False
            self._continue_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """Handle the loss of the connection."""
        self._detach()
        self._input = None
        if self._abort_timer is not None:
            self._abort_timer.cancel()
        self.writable.set()  # releases a pending `send`; older uvicorns do not
        super().connection_lost(exc)
        # Both refer to the connection, so only a run of the garbage collector would free them.
        self.conn.parser = self.conn.parser_exc = None  # type: ignore[assignment]

    def on_task_complete(self, task: "Task[None]") -> None:
        """Forget the application, and let the scope no longer refer to this object."""
        super().on_task_complete(task)
        extensions: Any = self.scope.get("extensions")  # the application may have changed it
        if isinstance(extensions, dict):
            extensions.pop(EXTENSION, None)

    @property
    def _extensions(self) -> dict[Any, Any]:
        extensions: dict[Any, Any] = self.scope["extensions"]
        return extensions

    # Input.

    @property
    def _slice_bytes(self) -> int:
        return COMPRESSED_SLICE_BYTES if self.compresses else SLICE_BYTES

    def _parse(self, data: bytes | memoryview) -> None:
        self.conn.receive_data(data)  # type: ignore[arg-type]  # websockets appends it to a bytearray
        if self.conn.parser_exc is not None:
            self.handle_parser_exception()
            return
        self.handle_events()
        self._is_between_frames = self._sink is not None and is_between_frames(self.conn)

    def _hold(self, data: bytes) -> None:
        """Keep input, to be parsed in slices, and read no more in the meantime."""
        self._parses_at_once = False
        if self._input is None:
            self._input = SlicedInput(data)
            self.transport.pause_reading()
            self._parse_slice()
        else:
            self._input.add(data)

    def _parse_slice(self) -> None:
        """Parse one slice, and the next in the next iteration of the event loop."""
        held = self._input
        if held is None or held.is_scheduled or not self._may_parse:
            return
        self._parse(held.take(self._slice_bytes + bytes_to_frame_end(self.conn)))
        if held:
            held.is_scheduled = True
            self.loop.call_soon(self._parse_next, held)
        else:
            self._input = None
            self._continue_reading()

    def _parse_next(self, held: SlicedInput) -> None:
        held.is_scheduled = False
        self._parse_slice()

    @property
    def _may_parse(self) -> bool:
        return self.handshake_complete and not (self.read_paused or self._ignores_pings or self._is_discarding)

    def _continue_reading(self) -> None:
        """Parse what was held back, then read on, unless something else forbids it."""
        if self._input is not None:
            self._parse_slice()
        elif self._may_parse:
            self._parses_at_once = True
            self.transport.resume_reading()

    def _discard_input(self) -> None:
        self._parses_at_once, self._is_discarding, self._input = False, True, None
        if self.transport.is_closing():
            return
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.transport.resume_reading()
        self.close_timer = self.loop.call_later(DISCARD_S, self.abort)
        self._abort_timer = self._abort_timer or self.close_timer

    # Messages.

    def _begin_message(self, event: Any, *, is_text: bool) -> None:
        if event.fin:
            self._deliver(event.data, is_text=is_text)
        else:
            self._message = FragmentedMessage(event.data, is_text=is_text)

    def _deliver(self, data: bytes | bytearray, *, is_text: bool) -> None:
        """Pass a whole message to the sink or to `receive()`."""
        if self.close_sent:
            return
        try:
            message = str(data, "utf-8") if is_text else bytes(data)
        except UnicodeDecodeError:
            self._fail(INVALID_DATA, "text message is not UTF-8")
            return
        if self._sink is None:
            self._queue({"type": "websocket.receive", "text" if is_text else "bytes": message})
            return
        pending = self._sink(message)
        if pending is not None:
            self._sink = None
            self._queue({"type": PENDING, "awaitable": pending})

    def _queue(self, event: Any) -> None:
        self.queue.put_nowait(event)
        if not self.read_paused:
            self.read_paused = True
            self._parses_at_once = False
            self.transport.pause_reading()

    def _send_pong(self, pong: bytes) -> None:
        if self.writable.is_set():
            self.transport.write(pong)
            return
        if self._pong is not None:
            self._ignores_pings = True
            self._parses_at_once = False
            self.transport.pause_reading()
        self._pong = pong

    # The end.

    def _fail(self, code: int, reason: str) -> None:
        self._message = None
        self.conn.fail(code, reason)
        self.handle_parser_exception()

    def _detach(self) -> None:
        listener, self._listener, self._sink = self._listener, None, None
        if listener is not None:
            listener.lost()
