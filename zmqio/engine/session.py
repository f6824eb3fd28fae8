"""One Engine.IO session: what waits for its client, its heartbeat, and how it ends.

Knows packets and its transport (where packets leave the process); must not know HTTP, ASGI or Socket.IO.

Source: Engine.IO protocol v4; reasons and the order of steps on closing are those of engine.io 6 (`Socket`).
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Coroutine, Sequence
from typing import Any, Protocol

import structlog
from engineio.async_socket import AsyncSocket

from zmqio.config import EngineOptions
from zmqio.engine.contracts import ConnectionEvents, Transport, TransportName
from zmqio.engine.direct_write import DirectWriter
from zmqio.engine.packets import CLOSE, NOOP, PING, Prepared, decode_packet, utf8_size
from zmqio.engine.send_buffer import SendBuffer
from zmqio.exceptions import PacketError
from zmqio.ids import EngineSid
from zmqio.log_limit import LimitedLog

__all__ = ["Session", "SessionOwner"]

log = structlog.get_logger(__name__)

# How long a client may take to fetch what waits for it, and the CLOSE packet, after `close_soon`.
# Source: engine.io, polling transport: `closeTimeout = 30 * 1000`.
CLOSE_LIMIT_S = 30.0
_UTF8_MOST_BYTES = 4  # of one character


class SessionOwner(Protocol):
    """What a session needs of the engine."""

    options: EngineOptions
    counters: Counter[str]
    notices: LimitedLog

    def session_closed(self, session: "Session") -> None:
        """The session has ended; no request will find it any more."""

    def session_closing(self, session: "Session") -> None:
        """The session is about to end: it is not pinged any more, and owes no answer."""

    def pong_received(self, session: "Session") -> None:
        """The client has answered a ping: schedule the next."""

    def extend_pong_deadline(self, session: "Session") -> None:
        """The client owes an answer to a ping, and something else came from it."""

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        """Run a short job; the engine awaits or cancels it when it closes."""


class Session(AsyncSocket):  # type: ignore[misc]  # engineio has no annotations
    """One connection of one client, whatever its transport; nothing here blocks.

    Args:
        owner: the engine.
        sid: its id.
        transport_name: what it begins with.

    Attributes:
        sid: its id.
        transport_name: `polling` or `websocket`, as it is now.
        closed: it has ended; what is written is dropped.
        closing: it is about to end; what is written is dropped.
        aborted: it was ended without a goodbye.
        upgrading: a WebSocket probe is going on.
        direct_writer: writes broadcasts to the client; open on the direct path while nothing is buffered and the
            client's connection accepts data.
    """

    sid: EngineSid
    closed: bool
    closing: bool
    upgrading: bool
    transport: Transport
    events: ConnectionEvents

    def __init__(self, owner: SessionOwner, sid: EngineSid, transport_name: TransportName) -> None:
        super().__init__(owner, sid)
        self.transport_name: TransportName = transport_name
        self.upgraded = transport_name == "websocket"
        self.direct_writer = DirectWriter(self.write)
        self.probe_limit: asyncio.Timeout | None = None
        self._owner = owner
        self._send_buffer: SendBuffer | None = None
        self.aborted = False
        self._may_extend = False
        self._close_reason: str | None = None
        self._close_timer: asyncio.TimerHandle | None = None

    @property
    def notices(self) -> LimitedLog:
        """The log for what clients can cause as often as they like."""
        return self._owner.notices

    @property
    def buffered_bytes(self) -> int:
        """Bytes that wait for the client."""
        return 0 if self._send_buffer is None else self._send_buffer.size_bytes

    @property
    def buffered(self) -> bool:
        """Whether anything waits for the client."""
        return self._send_buffer is not None

    def write(self, prepared: Prepared, *, volatile: bool = False) -> None:
        """Send packets, or let them wait until the client takes them.

        Never blocks and never raises for a client that has gone. A client for which more waits than
        `session_buffer_bytes` or `session_buffer_packets` is closed with `slow client`; one piece always fits.

        Args:
            prepared: from `Engine.prepare`; may be shared with other sessions.
            volatile: drop it if the client cannot take it now.
        """
        direct = self.direct_writer.write_frames
        if direct is not None:
            direct(prepared.ws_frames)
        elif not self.closing:
            self._queue(prepared, volatile)

    def close_soon(self, reason: str = "forced close") -> None:
        """Send what waits, say goodbye, and end with `reason`.

        A client that does not fetch it within 30 s loses it. Nothing that it sends is taken any more.
        """
        if self.closing:
            return
        self.closing = True
        self.direct_writer.close()
        self._close_reason = reason
        self._close_timer = asyncio.get_running_loop().call_later(CLOSE_LIMIT_S, self.end, reason)
        self._owner.session_closing(self)
        self.transport.begin_close()
        self.transport.flush()
        self.drained()

    def end(self, reason: str, *, farewell: Prepared = CLOSE, code: int = 1000, abort: bool = False) -> None:
        """End now; what still waits is lost. The second call does nothing."""
        if self.closed:
            return
        self.closed = self.closing = True
        self.aborted = abort
        self._send_buffer = None
        self.direct_writer.close()
        if self._close_timer is not None:
            self._close_timer.cancel()
            self._close_timer = None
        loop = asyncio.get_running_loop()
        if self.probe_limit is not None:
            self.probe_limit.reschedule(loop.time())
        self._owner.session_closed(self)
        self.transport.end(farewell=farewell, code=code, abort=abort)
        loop.call_soon(self._report_closed, self._close_reason or reason)

    # What the client sends.

    def received_frame(self, data: str | bytes) -> Awaitable[None] | None:
        """Take one WebSocket message; see `received`. One over `max_payload_bytes` ends the session."""
        limit = self._owner.options.max_payload_bytes
        if len(data) * _UTF8_MOST_BYTES > limit and _size(data) > limit:
            self._end_too_large(limit)
            return None
        return self.received(data)

    def received(self, packet: str | bytes) -> Awaitable[None] | None:
        """Take one packet: text with its type digit, or a binary message.

        Returns:
            what `ConnectionEvents.message` returned: await it with `await_handled` before the next packet.
        """
        if self.closing:
            return None
        if self._may_extend and packet != "3":
            self._may_extend = False
            self._owner.extend_pong_deadline(self)
        if not isinstance(packet, str):
            return self._message(packet)
        if packet[:1] == "4":
            return self._message(packet[1:])
        return self._control(packet)

    async def await_handled(self, pending: Awaitable[None]) -> None:
        """Await what `received` returned; an error is logged, and the session goes on."""
        try:
            await pending
        except Exception:  # noqa: BLE001 - the edge to the application
            self._log_failure()

    # For the engine and the outlets.

    def ping(self) -> None:
        """Send a ping; the client owes an answer from now on."""
        self._may_extend = True
        self.write(PING)

    def next_to_send(self) -> Prepared | None:
        """Take what has waited longest, or None."""
        if self._send_buffer is None:
            return None
        prepared = self._send_buffer.pop()
        self._drop_empty_send_buffer()
        return prepared

    def take_for_poll(self) -> list[Prepared]:
        """Take what goes into one polling body; empty when nothing waits."""
        if self._send_buffer is None:
            return []
        options = self._owner.options
        taken = self._send_buffer.take_for_poll(options.max_payload_bytes, options.max_payload_packets)
        self._drop_empty_send_buffer()
        return taken

    def put_back(self, taken: Sequence[Prepared]) -> None:
        """Put what could not be sent to the front again."""
        if taken and not self.closed:
            self._send_buffer = self._send_buffer or SendBuffer()
            self._send_buffer.put_back(taken)
            self.transport.flush()

    def append(self, prepared: Prepared) -> None:
        """Let a packet wait, whatever the bounds."""
        if self._send_buffer is None:
            self._send_buffer = SendBuffer()
        self._send_buffer.append(prepared)

    def drained(self) -> None:
        """A session that is about to end ends now, if nothing waits for its client any more."""
        if self._close_reason is None or self.closed:
            return
        if self._send_buffer is None and self.transport.empty:
            self.end(self._close_reason)

    def upgrade_to(self, transport: Transport) -> None:
        """Go on over a WebSocket: what waits leaves through it first."""
        self.transport_name = "websocket"
        self.upgraded = True
        self.transport = transport
        transport.flush()
        self.drained()

    # python-engineio's own interface, for callers of the base class.

    async def send(self, pkt: Any) -> None:
        """Send an `engineio.packet.Packet`."""
        self.write(Prepared([pkt.data if isinstance(pkt.data, bytes) else pkt.encode()]))

    async def close(self, wait: bool = True, abort: bool = False, reason: str | None = None) -> None:
        """Close as `close_soon` does, or at once with `abort`."""
        if abort:
            self.end(reason or "forced close")
        else:
            self.close_soon(reason or "forced close")

    def _queue(self, prepared: Prepared, volatile: bool) -> None:
        if volatile and not self.transport.ready:
            self._owner.counters["volatile_dropped"] += 1
            return
        had_some = self._send_buffer is not None
        if not had_some and self.transport.offer(prepared):
            return
        self.append(prepared)
        if had_some and self._is_over_bounds():
            self._drop_slow_client()
        else:
            self.transport.flush()

    def _is_over_bounds(self) -> bool:
        send_buffer, options = self._send_buffer, self._owner.options
        return send_buffer is not None and (
            send_buffer.size_bytes > options.session_buffer_bytes
            or send_buffer.packets > options.session_buffer_packets
        )

    def _drop_slow_client(self) -> None:
        options, send_buffer = self._owner.options, self._send_buffer
        assert send_buffer is not None  # it is what is over the bounds
        bytes_are_over = send_buffer.size_bytes > options.session_buffer_bytes
        option = "session_buffer_bytes" if bytes_are_over else "session_buffer_packets"
        self._owner.counters["slow_clients"] += 1
        self.notices.warning(
            "client_dropped",
            sid=self.sid,
            reason="slow client",
            buffered_bytes=send_buffer.size_bytes,
            buffered_packets=send_buffer.packets,
            limit=getattr(options, option),
            option=option,
        )
        self.end("slow client", abort=True)

    def _end_too_large(self, limit: int) -> None:
        self._owner.counters["packets_too_large"] += 1
        self.notices.info("packet_too_large", sid=self.sid, limit=limit, option="max_payload_bytes")
        self.end("transport error", code=1009)

    def _message(self, data: str | bytes) -> Awaitable[None] | None:
        try:
            return self.events.message(data)
        except Exception:  # noqa: BLE001 - the edge to the application
            self._log_failure()
            return None

    def _control(self, packet: str) -> Awaitable[None] | None:
        match packet[:1]:
            case "3":
                self._may_extend = False
                self._owner.pong_received(self)
            case "1":
                # "close pending poll request" with a noop (engine.io, polling transport)
                self.end("transport close", farewell=NOOP)
            case "2":
                # "invalid heartbeat direction" (engine.io): only the server pings
                self.end("transport error")
            case "0" | "5" | "6":
                pass  # no meaning here; the JavaScript server passes over them, too
            case _:
                return self._base64_or_error(packet)
        return None

    def _base64_or_error(self, packet: str) -> Awaitable[None] | None:
        try:
            return self._message(decode_packet(packet))
        except PacketError:
            self._owner.counters["packets_malformed"] += 1
            self.end("parse error")
            return None

    def _report_closed(self, reason: str) -> None:
        self.events.closed(reason)

    def _drop_empty_send_buffer(self) -> None:
        if not self._send_buffer:
            self._send_buffer = None

    def _log_failure(self) -> None:
        self._owner.counters["message_failures"] += 1
        log.exception("message_failed", sid=self.sid)


def _size(data: str | bytes) -> int:
    return utf8_size(data) if isinstance(data, str) else len(data)
