"""One Engine.IO session: its send buffer, its heartbeat and its end.

Knows packets and the contract of transports; must not know HTTP, ASGI or Socket.IO.

Source: Engine.IO protocol v4. Close reasons and the order of closing steps are those of engine.io 6 (`Socket`).
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Protocol

from engineio.async_socket import AsyncSocket

from zmqio.config import EngineOptions
from zmqio.engine.contracts import ConnectionEvents, Transport, TransportName
from zmqio.engine.direct_write import DirectWriter
from zmqio.engine.ended_transport import ENDED
from zmqio.engine.incomplete_bodies import MAX_INCOMPLETE_BYTES
from zmqio.engine.packets import CLOSE, NOOP, PING, Prepared, decode_packet, is_larger
from zmqio.engine.send_buffer import SendBuffer
from zmqio.exceptions import PacketError
from zmqio.ids import EngineSid
from zmqio.log_limit import LimitedLog

__all__ = ["TOO_LARGE", "Session", "SessionOwner"]


# Seconds that a client may take after `close_soon` to fetch its buffered packets and the CLOSE packet.
# Source: engine.io, polling transport: `closeTimeout = 30 * 1000`.
CLOSE_LIMIT_S = 30.0
HARD_LIMIT_FACTOR = 10
"""Multiple of the limits of the send buffer at which a client is dropped without a grace period."""
TOO_LARGE = 1009
"""Close code: the message is too large. Source: RFC 6455, section 7.4.1."""


class SessionOwner(Protocol):
    """The part of the engine that a session uses."""

    options: EngineOptions
    counters: Counter[str]
    notices: LimitedLog
    websockets: int

    def session_closed(self, session: "Session") -> None:
        """Remove a session that has ended; requests no longer find it."""

    def session_closing(self, session: "Session") -> None:
        """Stop the heartbeat of a session that is closing."""

    def pong_received(self, session: "Session") -> None:
        """Schedule the next ping: the client has answered the last."""

    def extend_pong_deadline(self, session: "Session") -> None:
        """Restart the time-out of a due pong: the client has sent its first packet, or its first since a ping."""

    def buffer_exceeded(self, session: "Session") -> None:
        """Note that a session has more buffered than its limits allow; starts its grace period, if it is new."""

    def buffer_reduced(self, session: "Session") -> None:
        """End the grace period: the session is within its limits again."""

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        """Run a short job; the engine cancels it on closing if it still runs."""


class Session(AsyncSocket):  # type: ignore[misc]  # engineio has no annotations
    """One connection of one client over any transport. No method blocks.

    Args:
        owner: the engine.
        sid: the session id.
        transport_name: the first transport.

    Attributes:
        sid: the session id.
        transport_name: the current transport, `polling` or `websocket`.
        closed: the session has ended; writes are dropped.
        closing: the session is about to end, or has ended; writes are dropped.
        aborted: the session ended without a close packet or Close frame.
        upgrading: a WebSocket probe is in progress.
        abort_post: ends the reading of the POST that is being received or handled; None without one.
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
        self.abort_post: Callable[[], None] | None = None
        self._owner = owner
        self._send_buffer: SendBuffer | None = None
        self.aborted = False
        self._in_grace = False
        self._may_extend = True  # the client has sent nothing yet
        self._close_reason: str | None = None
        self._close_timer: asyncio.TimerHandle | None = None

    @property
    def notices(self) -> LimitedLog:
        """The rate-limited log for events that clients can cause at will."""
        return self._owner.notices

    @property
    def buffered_bytes(self) -> int:
        """Bytes buffered for the client."""
        return 0 if self._send_buffer is None else self._send_buffer.size_bytes

    @property
    def buffered(self) -> bool:
        """Whether packets are buffered for the client."""
        return self._send_buffer is not None

    def write(self, prepared: Prepared, *, volatile: bool = False) -> None:
        """Send packets, or buffer them until the client takes them.

        Never blocks, and never raises if the client has disconnected. If more than `session_buffer_bytes` or
        `session_buffer_packets` are buffered for `slow_client_grace_s`, the session ends with the reason `slow
        client`; beyond 10 times as many, at once. A single item is accepted whatever its size.

        Args:
            prepared: from `Engine.prepare`; may be shared with other sessions.
            volatile: drop the packets if the client cannot take them now.
        """
        writer = self.direct_writer
        write_frames = writer.write_frames
        if write_frames is not None:
            write_frames(writer.frames_of(prepared) if writer.deflate_bytes else prepared.ws_frames)
        elif not self.closing:
            self._queue(prepared, volatile)

    def close_soon(self, reason: str = "forced close") -> None:
        """Send the buffered packets and the protocol's close packet, then end with `reason`.

        Packets that the client does not take within 30 s are lost. Everything that it still sends is ignored.
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
        """End now; buffered packets are lost. A second call does nothing."""
        if self.closed:
            return
        self.closed = self.closing = True
        self.aborted = abort
        self._send_buffer = None
        self.direct_writer.end()
        if self._close_timer is not None:
            self._close_timer.cancel()
            self._close_timer = None
        loop = asyncio.get_running_loop()
        if self.probe_limit is not None and not self.probe_limit.expired():
            self.probe_limit.reschedule(loop.time())
        if self.abort_post is not None:
            self.abort_post()
        self._owner.session_closed(self)
        transport, self.transport = self.transport, ENDED
        transport.end(farewell=farewell, code=code, abort=abort)
        loop.call_soon(self._report_closed, self._close_reason or reason)

    # Input from the client.

    def received_frame(self, data: str | bytes) -> Awaitable[None] | None:
        """Handle one WebSocket message; see `received`. A message over `max_payload_bytes` ends the session."""
        limit = self._owner.options.max_payload_bytes
        if is_larger(data, limit):
            self.note_too_large()
            self.end("transport error", code=TOO_LARGE)
            return None
        return self.received(data)

    def received(self, packet: str | bytes) -> Awaitable[None] | None:
        """Handle one packet: text with its type digit, or a binary message.

        Returns:
            the result of `ConnectionEvents.message`; await it with `await_handled` before the next packet.
        """
        if self.closing:
            return None
        if self._may_extend and packet != "3":
            self._may_extend = False
            self._owner.extend_pong_deadline(self)
        if not isinstance(packet, str):
            message: str | bytes = packet
        elif packet[:1] == "4":
            message = packet[1:]
        else:
            return self._control(packet)
        try:
            return self.events.message(message)
        except Exception:  # noqa: BLE001 - the edge to the application
            self._log_failure()
            return None

    def end_after_violation(self, code: int) -> None:
        """End because the ASGI server has closed the WebSocket with `code`: the client's frames were invalid."""
        if code == TOO_LARGE:
            self.note_too_large()
        elif not self.closed:
            self._owner.counters["packets_malformed"] += 1
        self.end("transport error")

    def note_too_large(self) -> None:
        """Count and log a WebSocket message over `max_payload_bytes`."""
        if not self.closed:
            self._owner.counters["packets_rejected"] += 1
            limit = self._owner.options.max_payload_bytes
            self.notices.info("packet_rejected", sid=self.sid, limit=limit, option="max_payload_bytes")

    async def await_handled(self, pending: Awaitable[None]) -> None:
        """Await the result of `received`; an error is logged, and the session continues."""
        try:
            await pending
        except Exception:  # noqa: BLE001 - the edge to the application
            self._log_failure()

    # For the engine and the transports.

    def ping(self) -> None:
        """Send a ping; a pong is due from now on."""
        self._may_extend = True
        self.write(PING)

    def next_to_send(self) -> Prepared | None:
        """Remove and return the oldest buffered packets; None if there are none."""
        if self._send_buffer is None:
            return None
        prepared = self._send_buffer.pop()
        self._buffer_taken()
        return prepared

    def take_for_poll(self) -> list[Prepared]:
        """Remove and return the packets of one polling body; empty if nothing is buffered."""
        if self._send_buffer is None:
            return []
        options = self._owner.options
        taken = self._send_buffer.take_for_poll(options.max_payload_bytes, options.max_payload_packets)
        self._buffer_taken()
        return taken

    def put_back(self, taken: Sequence[Prepared]) -> None:
        """Put unsent packets back to the front."""
        if taken and not self.closed:
            self._send_buffer = self._send_buffer or SendBuffer()
            self._send_buffer.put_back(taken)
            self.transport.flush()

    def append(self, prepared: Prepared) -> None:
        """Buffer packets, whatever the limits."""
        if self._send_buffer is None:
            self._send_buffer = SendBuffer()
        self._send_buffer.append(prepared)

    def drained(self) -> None:
        """End a closing session if everything has been sent to its client."""
        if self._close_reason is None or self.closed:
            return
        if self._send_buffer is None and self.transport.empty:
            self.end(self._close_reason)

    def upgrade_to(self, transport: Transport) -> None:
        """Continue over a WebSocket; buffered packets are sent through it first."""
        from_polling = self.transport_name == "polling" and not self.closed
        if from_polling:
            self._owner.counters["sessions_upgraded"] += 1
            self._owner.websockets += 1
        self.transport_name = "websocket"
        self.upgraded = True
        self.transport = transport
        transport.flush()
        if from_polling:
            self.events.upgraded()
        self.drained()

    def body_ended_early(self, *, displaced: bool) -> None:
        """End the session: the body of a POST took too long, or newer bodies displaced it."""
        limit_s = self._owner.options.body_timeout_s
        self._owner.counters["bodies_displaced" if displaced else "bodies_timed_out"] += 1
        if displaced:
            self.notices.info("body_displaced", sid=self.sid, limit=MAX_INCOMPLETE_BYTES)
        else:
            self.notices.info("body_timed_out", sid=self.sid, limit_s=limit_s, option="body_timeout_s")
        self.end("transport error")

    # The interface of python-engineio, for callers of the base class.

    async def send(self, pkt: Any) -> None:
        """Send an `engineio.packet.Packet`."""
        self.write(Prepared([pkt.data if isinstance(pkt.data, bytes) else pkt.encode()]))

    async def close(self, wait: bool = True, abort: bool = False, reason: str | None = None) -> None:
        """Close like `close_soon`; with `abort`, at once."""
        if abort:
            self.end(reason or "forced close")
        else:
            self.close_soon(reason or "forced close")

    def _queue(self, prepared: Prepared, volatile: bool) -> None:
        if volatile and not self.transport.ready:
            self._owner.counters["volatile_client_messages_dropped"] += 1
            return
        was_buffering = self._send_buffer is not None
        if not was_buffering and self.transport.offer(prepared):
            return
        self.append(prepared)
        if was_buffering and self._exceeds_limits():
            self._limits_exceeded()
        self.transport.flush()

    def _exceeds_limits(self) -> bool:
        options = self._owner.options
        return self._exceeds(options.session_buffer_bytes, options.session_buffer_packets)

    def _exceeds(self, max_bytes: int, max_packets: int) -> bool:
        send_buffer = self._send_buffer
        return send_buffer is not None and (
            send_buffer.size_bytes > max_bytes or send_buffer.packets > max_packets
        )

    def _limits_exceeded(self) -> None:
        options = self._owner.options
        hard_bytes = HARD_LIMIT_FACTOR * max(options.session_buffer_bytes, options.max_payload_bytes)
        hard_packets = HARD_LIMIT_FACTOR * options.session_buffer_packets
        if not options.slow_client_grace_s or self._exceeds(hard_bytes, hard_packets):
            self.drop_slow_client()
        else:
            self._in_grace = True
            self._owner.buffer_exceeded(self)

    def _buffer_taken(self) -> None:
        if not self._send_buffer:
            self._send_buffer = None
        if self._in_grace and not self._exceeds_limits():
            self._in_grace = False
            self._owner.buffer_reduced(self)

    def own_bytes(self) -> int:
        """Buffered bytes that no other session shares; takes time in proportion to the number of packets."""
        return 0 if self._send_buffer is None else self._send_buffer.own_bytes()

    def drop_slow_client(self) -> None:
        """End the session: more is buffered than its limits allow, and its grace period is over."""
        bytes_are_over = self.buffered_bytes > self._owner.options.session_buffer_bytes
        self._drop("session_buffer_bytes" if bytes_are_over else "session_buffer_packets")

    def displace(self) -> None:
        """End the session: all slow clients together have too much buffered, and this one has most."""
        self._drop("slow_clients_bytes")

    def _drop(self, option: str) -> None:
        options, send_buffer = self._owner.options, self._send_buffer
        assert send_buffer is not None  # it is over the limits
        self._owner.counters["clients_dropped"] += 1
        self.notices.warning(
            "client_dropped",
            sid=self.sid,
            reason="slow client",
            buffered_bytes=send_buffer.size_bytes,
            buffered_packets=send_buffer.packets,
            limit=getattr(options, option),
            option=option,
            grace_s=options.slow_client_grace_s,
        )
        self.end("slow client", abort=True)

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
                pass  # meaningless from a client; the JavaScript server ignores them, too
            case _:
                return self._base64_or_error(packet)
        return None

    def _base64_or_error(self, packet: str) -> Awaitable[None] | None:
        try:
            return self.received(decode_packet(packet))
        except PacketError:
            self._owner.counters["packets_malformed"] += 1
            self.end("parse error")
            return None

    def _report_closed(self, reason: str) -> None:
        events = self.events
        del self.events  # they refer to the session
        events.closed(reason)

    def _log_failure(self) -> None:
        self._owner.counters["messages_failed"] += 1
        self.notices.error("message_handler_failed", sid=self.sid, exc_info=True)
