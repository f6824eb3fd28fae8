"""Where the packets of a WebSocket session leave: through ASGI, or straight into the connection.

- `AsgiWebSocketTransport` works under every ASGI server: a short job sends what waits, and there is none while
  nothing does.
- `DirectWebSocketTransport` opens the session's direct writer: frames that were encoded once for all clients go
  straight into the connection; the session's bounded send buffer holds what the connection does not take.

Knows sessions and the wire's contract; must not know uvicorn.
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

# Longest time that a client may take for the closing handshake before its connection is let go.
CLOSE_HANDSHAKE_S = 10.0


class WireListener(Protocol):
    """What a wire reports."""

    def paused(self) -> None:
        """The connection takes no more: write nothing until `resumed`."""

    def resumed(self) -> None:
        """The connection takes frames again."""

    def lost(self) -> None:
        """The connection is gone, or is being closed: write nothing any more."""


class DirectWire(Protocol):
    """A WebSocket connection that takes encoded frames; `uvicorn_ws` has one.

    Attributes:
        fd: descriptor that frames may be written to, past what `open` returns, while the wire is not paused; -1 if
            there is none. Known after `open`.
    """

    fd: int

    def open(self, listener: WireListener, *, direct_writes: bool) -> Frames | None:
        """Begin; return the function that writes frames, or None if this connection is closing.

        Args:
            listener: is notified of changes of the connection.
            direct_writes: offer the file descriptor, if frames may be written to it.
        """

    def listen(self, sink: Callable[[str | bytes], Awaitable[None] | None]) -> None:
        """Hand whole messages to `sink` rather than to ASGI `receive()`, if none waits there.

        When `sink` returns an awaitable, the wire stops doing so and puts `{"type": PENDING, "awaitable": ...}`
        in the way of `receive()`, and what comes later behind it.
        """

    def abort(self) -> None:
        """Drop the connection at once."""

    def abort_in(self, delay_s: float) -> None:
        """Drop the connection if it is still there after that time."""


class AsgiWebSocketTransport:
    """Packets leave as `websocket.send` events.

    Args:
        session: whose transport it is.
        owner: runs the sending job.
        send: of ASGI.
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
        """Whether nothing waits for the connection."""
        return self._sender is None

    @property
    def empty(self) -> bool:
        """Whether the ASGI server has taken everything."""
        return self._sender is None

    def offer(self, prepared: Prepared) -> bool:
        """Send at once if nothing is being sent."""
        if self._sender is not None or self._ended:
            return False
        self._sender = run_eagerly(self._send_from(prepared), self._owner.spawn)
        return True

    def flush(self) -> None:
        """Send what waits, unless that is being done."""
        if self._sender is None and not self._ended and self._session.buffered:
            self._sender = run_eagerly(self._send_from(self._session.next_to_send()), self._owner.spawn)

    def begin_close(self) -> None:
        """Nothing: the Close frame says it."""

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
            # OSError is the specified "the client has gone"; some servers complain in other ways.
            self._ended = True
            self._session.end("transport close" if isinstance(error, OSError) else "transport error")
            return
        self._sender = None
        self._session.drained()


class DirectWebSocketTransport:
    """Packets leave as frames, written into the connection.

    Args:
        session: whose transport it is.
        owner: runs the closing job.
        wire: the connection.
        send: of ASGI, for closing.
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
        """Take the connection; False if it cannot be written to directly."""
        self._write = self._wire.open(self, direct_writes=self._owner.options.direct_writes)
        return self._write is not None

    @property
    def ready(self) -> bool:
        """Whether the connection takes frames."""
        return not (self._is_paused or self._is_lost)

    @property
    def empty(self) -> bool:
        """Whether the connection has less to send than makes it pause, or is gone."""
        return self._is_lost or not self._is_paused

    def offer(self, prepared: Prepared) -> bool:
        """False: what the connection takes is written directly by the session."""
        return False

    def flush(self) -> None:
        """Write what waits as far as the connection takes it; then let the session write directly."""
        session, write = self._session, self._write
        if write is None:
            return
        while self.ready:
            prepared = session.next_to_send()
            if prepared is None:
                if not session.closing:
                    session.direct_writer.open(write, self._wire.fd)
                return
            write(prepared.ws_frames)

    def begin_close(self) -> None:
        """Nothing: the Close frame says it."""

    def end(self, *, farewell: Prepared, code: int, abort: bool) -> None:
        """Close the WebSocket behind what its connection still has to send; `abort` drops both."""
        self._write = None
        if abort or self._is_lost:
            self._wire.abort()
        else:
            self._owner.spawn(close_websocket(self._send, code))
            self._wire.abort_in(CLOSE_HANDSHAKE_S)

    # From the wire.

    def paused(self) -> None:
        """The connection takes no more."""
        self._is_paused = True
        self._session.direct_writer.close()

    def resumed(self) -> None:
        """The connection takes frames again: first what waited."""
        self._is_paused = False
        self.flush()
        self._session.drained()

    def lost(self) -> None:
        """The connection is gone: who waits until it has sent everything waits in vain."""
        self._is_lost = True
        self._session.direct_writer.close()
        asyncio.get_running_loop().call_soon(self._session.drained)


async def close_websocket(send: Send, code: int) -> None:
    """Send a Close frame; a connection that has gone, or does not take it in 10 s, is left alone."""
    try:
        async with asyncio.timeout(CLOSE_HANDSHAKE_S):
            await send({"type": "websocket.close", "code": code})
    except (OSError, RuntimeError, TimeoutError):
        pass  # gone already: that is what closing is for


def message_of(packet: str | bytes) -> dict[str, Any]:
    """The `websocket.send` message of a text or of bytes."""
    if isinstance(packet, str):
        return {"type": "websocket.send", "text": packet}
    return {"type": "websocket.send", "bytes": packet}
