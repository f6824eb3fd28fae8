"""The transports of a WebSocket session: through ASGI, or directly into the connection.

- `AsgiWebSocketTransport` works under every ASGI server. A short job sends the buffered packets.
- `DirectWebSocketTransport` opens the session's direct writer: frames that were encoded once for all clients are
  written directly into the connection. Packets that it does not accept wait in the session's send buffer.

Knows sessions and declares the contract `DirectWire`; must not know uvicorn.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from zmqio.engine.direct_write import Frames
from zmqio.engine.eager import run_eagerly
from zmqio.engine.http_exchange import Send
from zmqio.engine.packets import Prepared
from zmqio.engine.session import Session, SessionOwner

__all__ = [
    "AsgiWebSocketTransport",
    "DirectWebSocketTransport",
    "DirectWire",
    "WireListener",
    "close_websocket",
    "message_of",
]

# Longest time for a client to complete the closing handshake; after that, its connection is dropped.
CLOSE_HANDSHAKE_S = 10.0


class WireListener(Protocol):
    """Receives the events of a `DirectWire`."""

    def paused(self) -> None:
        """Write nothing until `resumed`: the connection is full."""

    def resumed(self) -> None:
        """Write again: the connection accepts frames."""

    def lost(self) -> None:
        """Write no more: the connection is closed, or closing within a time limit of its own."""


class DirectWire(Protocol):
    """A WebSocket connection that accepts encoded frames; `hosting.websocket_protocol` implements it.

    Attributes:
        fd: file descriptor to which frames may be written while the wire is not paused; otherwise -1. Set by
            `open`.
        compresses: whether compressed frames may be written; see `negotiate_compression`.
    """

    fd: int
    compresses: bool

    def negotiate_compression(self) -> None:
        """Accept the client's offer of permessage-deflate, if any. Call it before the WebSocket is accepted."""

    def limit_messages(self, max_bytes: int) -> None:
        """Close the WebSocket with 1009 at the header of the frame with which a message exceeds `max_bytes`."""

    def open(self, listener: WireListener, *, direct_writes: bool) -> Frames | None:
        """Begin; return the function that writes frames, or None if this connection is closing.

        Args:
            listener: is notified of changes of the connection.
            direct_writes: offer the file descriptor, if frames may be written to it.
        """

    def listen(self, sink: Callable[[str | bytes], Awaitable[None] | None]) -> None:
        """Pass whole messages to `sink` instead of ASGI `receive()`, unless `receive()` still has earlier ones.

        When `sink` returns an awaitable, the wire stops passing messages. `receive()` then returns
        `{"type": PENDING, "awaitable": ...}`, followed by later messages.
        """

    def abort(self) -> None:
        """Drop the connection at once."""

    def abort_in(self, delay_s: float) -> None:
        """Drop the connection after `delay_s` seconds, unless it is closed by then."""


class AsgiWebSocketTransport:
    """Sends packets as `websocket.send` events.

    Args:
        session: the session that it serves.
        owner: runs the sending job.
        send: the ASGI send.
    """

    __slots__ = ("_ended", "_owner", "_reader", "_send", "_sender", "_session")

    def __init__(self, session: Session, owner: SessionOwner, send: Send) -> None:
        self._session = session
        self._owner = owner
        self._send = send
        self._sender: asyncio.Task[None] | None = None
        self._reader = asyncio.current_task()
        self._ended = False

    @property
    def ready(self) -> bool:
        """Whether no packet is being sent."""
        return self._sender is None

    @property
    def empty(self) -> bool:
        """Whether the ASGI server has accepted every packet."""
        return self._sender is None

    def offer(self, prepared: Prepared) -> bool:
        """Send at once unless a packet is being sent."""
        if self._sender is not None or self._ended:
            return False
        self._sender = run_eagerly(self._send_from(prepared), self._owner.spawn)
        return True

    def flush(self) -> None:
        """Send the buffered packets, unless that is in progress."""
        if self._sender is None and not self._ended and self._session.buffered:
            self._sender = run_eagerly(self._send_from(self._session.next_to_send()), self._owner.spawn)

    def begin_close(self) -> None:
        """Do nothing: `end` sends the Close frame."""

    def end(self, *, farewell: Prepared, code: int, abort: bool) -> None:
        """Stop sending and close the WebSocket; `abort` leaves that to the ASGI server."""
        self._ended = True
        sender, self._sender = self._sender, None
        if sender is not None and sender is not asyncio.current_task():
            sender.cancel()
        if not abort:
            self._owner.spawn(close_websocket(self._send, code))
        elif self._reader is not None:
            self._reader.cancel()

    async def _send_from(self, prepared: Prepared | None) -> None:
        try:
            while prepared is not None:
                for packet in prepared.packets:
                    await self._send(message_of(packet))
                prepared = self._session.next_to_send()
        except Exception as error:  # noqa: BLE001 - the edge to the ASGI server
            # ASGI specifies OSError for a disconnected client; some servers raise other errors.
            self._ended = True
            self._session.end("transport close" if isinstance(error, OSError) else "transport error")
            return
        self._sender = None
        self._session.drained()


class DirectWebSocketTransport:
    """Writes packets as frames into the connection.

    Args:
        session: the session that it serves.
        owner: runs the closing job.
        wire: the connection.
        send: the ASGI send, for closing.
    """

    __slots__ = ("_is_lost", "_is_paused", "_owner", "_send", "_session", "_wire", "_write")

    def __init__(self, session: Session, owner: SessionOwner, wire: DirectWire, send: Send) -> None:
        self._session = session
        self._owner = owner
        self._wire = wire
        self._send = send
        self._is_lost = self._is_paused = False
        self._write: Frames | None = None

    def open(self) -> bool:
        """Open the wire; return False if it cannot be written to directly."""
        options = self._owner.options
        if self._wire.compresses:
            self._session.direct_writer.deflate_bytes = max(options.compression_threshold_bytes, 1)
        self._write = self._wire.open(self, direct_writes=options.direct_writes)
        return self._write is not None

    @property
    def ready(self) -> bool:
        """Whether the connection accepts frames."""
        return not (self._is_paused or self._is_lost)

    @property
    def empty(self) -> bool:
        """Whether the connection is below its high-water mark, or lost."""
        return self._is_lost or not self._is_paused

    def offer(self, prepared: Prepared) -> bool:
        """Always False: the session writes directly while the connection accepts frames."""
        return False

    def flush(self) -> None:
        """Write buffered packets while the connection accepts them; then let the session write directly."""
        session, write = self._session, self._write
        if write is None:
            return
        while self.ready:
            prepared = session.next_to_send()
            if prepared is None:
                if not session.closing:
                    session.direct_writer.open(write, self._wire.fd)
                return
            write(session.direct_writer.frames_of(prepared))

    def begin_close(self) -> None:
        """Do nothing: `end` sends the Close frame."""

    def end(self, *, farewell: Prepared, code: int, abort: bool) -> None:
        """Close the WebSocket after the frames that its connection still has to send; `abort` drops them."""
        self._write = None
        if abort:
            self._wire.abort()
        elif not self._is_lost:
            self._owner.spawn(close_websocket(self._send, code))
            self._wire.abort_in(CLOSE_HANDSHAKE_S)

    # `WireListener`.

    def paused(self) -> None:
        """Stop direct writes: the connection is full."""
        self._is_paused = True
        self._session.direct_writer.close()

    def resumed(self) -> None:
        """Write the buffered packets: the connection accepts frames again."""
        self._is_paused = False
        self.flush()
        self._session.drained()

    def lost(self) -> None:
        """Stop direct writes: the connection is lost. A closing session ends."""
        self._is_lost = True
        self._session.direct_writer.close()
        asyncio.get_running_loop().call_soon(self._session.drained)


async def close_websocket(send: Send, code: int) -> None:
    """Send a Close frame; give up after 10 s, or if the connection is lost."""
    try:
        async with asyncio.timeout(CLOSE_HANDSHAKE_S):
            await send({"type": "websocket.close", "code": code})
    except (OSError, RuntimeError, TimeoutError):
        pass  # already closed, or about to be dropped


def message_of(packet: str | bytes) -> dict[str, Any]:
    """The `websocket.send` message of one packet."""
    if isinstance(packet, str):
        return {"type": "websocket.send", "text": packet}
    return {"type": "websocket.send", "bytes": packet}
