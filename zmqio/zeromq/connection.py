"""A ZMTP connection to a broker on the event loop. Reconnects when lost, after its owner has been notified.

Why not libzmq: each message through a libzmq socket first wakes a libzmq thread (50 of about 170 us from publisher
to subscriber, `python -m tests.bench.cluster_peers.wire`); a loss is only visible by polling a monitor before each
message; and a peer that is not ZeroMQ can abort the process (zmtp_engine.cpp:439).

State        meaning                                   leaves when
dialing      no socket is connected yet                a socket is connected
handshaking  both ends exchange greetings              done, or `HANDSHAKE_LIMIT_S` have passed
up           messages flow                             it is lost, or silent for `SILENT_TICKS`

Queue and policy: data that the kernel does not accept is queued here without a limit; `is_full` reports it, and a
publisher then sends nothing more. Received data stays in the kernel until read: at most `READ_BYTES` are read, and
at most `MESSAGES_PER_TURN` messages delivered, in one turn of the event loop.
"""

import asyncio
import socket
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from zmqio.exceptions import ZmtpError
from zmqio.links.resolver import HostResolver
from zmqio.logger import get_logger
from zmqio.protocol.mechanism import MakeMechanism, NullMechanism, SocketType
from zmqio.protocol.zmtp import Conversation, Message
from zmqio.timer_grid import next_on_grid
from zmqio.zeromq.dialer import Dialer
from zmqio.zeromq.final_flush import FinalFlush

__all__ = ["REFUSED_RETRY_S", "ZmtpConnection", "ZmtpConnectionEvents", "ZmtpPeer"]

log = get_logger(__name__)

READ_BYTES = 1 << 16
LAGGING_BYTES = READ_BYTES // 2
"""A read of this size means that this process is not keeping up. Less than the window of a new TCP connection, and
more than arrives in 10 ms at 10,000 messages of 300 bytes per second."""
MESSAGES_PER_TURN = 256
HANDSHAKE_LIMIT_S = 30.0
LOST_RETRY_S = 0.01
BROKEN_OFF_RETRY_S = 0.1
REFUSED_RETRY_S = 0.5
"""Seconds until an address is tried again after a peer there turned out not to be a broker."""
TICK_S = 1.0
SILENT_TICKS = 5
"""Close the connection after this many ticks without data from the peer, despite a PING in each but the first.
Ticks delayed by a busy event loop do not count. Fewer ticks would drop brokers that are merely busy."""
NOT_ANSWERED = "no answer yet"
NOT_SHAKEN = "connected, but the peer has not completed the handshake"


@dataclass(frozen=True, slots=True)
class ZmtpPeer:
    """The peer to connect to.

    Attributes:
        endpoint: `tcp://host:port` or `ipc://path`.
        resolver: resolves the endpoint's host.
        mechanism: makes the security mechanism of each connection.
    """

    endpoint: str
    resolver: HostResolver
    mechanism: MakeMechanism = NullMechanism


@dataclass(frozen=True, slots=True)
class ZmtpConnectionEvents:
    """Callbacks of one connection; run on the event loop, never inside a call to the connection.

    Attributes:
        up: after each handshake.
        down: when a connection that was up is lost, with the reason; reconnecting has already begun.
        refused: when a peer accepted the connection but no handshake followed, with the reason.
    """

    up: Callable[[], None]
    down: Callable[[str], None]
    refused: Callable[[str], None]


class ZmtpConnection:
    """Keeps one connection to an endpoint. Belongs to the running event loop.

    Args:
        loop: the running event loop.
        peer: the peer to connect to.
        socket_type: the type of this end.
        events: called when its state changes.
        received: called with messages, and with True if the read was so large (`LAGGING_BYTES`) that this process
            is not keeping up; must not raise.
        drained: called when the kernel has accepted all queued data.
        send_buffer_bytes: size of the kernel's send buffer; 0 for the kernel's own choice.

    Attributes:
        is_up: whether messages flow.
        problem: why it is not up, as far as known; empty while it is.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        peer: ZmtpPeer,
        socket_type: SocketType,
        events: ZmtpConnectionEvents,
        received: Callable[[Sequence[Message], bool], None],
        drained: Callable[[], None] = lambda: None,
        send_buffer_bytes: int = 0,
    ) -> None:
        self._loop = loop
        self._peer = peer
        self._type = socket_type
        self._events = events
        self._received = received
        self._drained = drained
        self._send_buffer_bytes = send_buffer_bytes
        self.is_up = False
        self.problem = NOT_ANSWERED
        self._is_open = True
        self._is_lost = False
        self._is_reading = False
        self._silent_ticks = 0
        self._socket: socket.socket | None = None
        self._conversation = Conversation(socket_type, peer.mechanism)
        self._unsent: deque[bytes | memoryview] = deque()
        self._backlog: list[Message] = []
        self._timer: asyncio.TimerHandle | None = None
        self._dialer: Dialer | None = None
        self._dial()

    @property
    def is_lost(self) -> bool:
        """Whether a connection that was up has failed and `down` has not been called yet."""
        return self._is_lost

    @property
    def is_full(self) -> bool:
        """Whether data is queued because the kernel has not accepted it."""
        return bool(self._unsent)

    @property
    def sealing_bytes(self) -> int:
        """Bytes that encryption adds to each frame."""
        return self._conversation.sealing_bytes

    def send(self, message: bytes) -> None:
        """Send a message of one frame, or queue what the kernel does not accept now. Dropped unless it is up."""
        if self.is_up:
            self._encode_and_write((message,))

    def send_all(self, messages: Iterable[bytes]) -> None:
        """Send messages of one frame each with one call of the kernel, as `send` does."""
        if self.is_up:
            self._encode_and_write(messages)

    def _encode_and_write(self, messages: Iterable[bytes]) -> None:
        try:
            self._write(b"".join(map(self._conversation.encode, messages)))
        except Exception:
            # A connection that goes on would hide that messages are missing.
            log.exception("broker_send_failed", endpoint=self._peer.endpoint)
            self._lose_soon()

    def _write(self, data: bytes) -> None:
        if self._socket is None or self._is_lost:
            return
        if self._unsent:
            self._unsent.append(data)
            return
        try:
            sent = self._socket.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._lose_soon()
            return
        if sent < len(data):
            self._unsent.append(memoryview(data)[sent:])
            self._loop.add_writer(self._socket.fileno(), self._flush)

    def pause_reading(self) -> None:
        """Leave received data in the kernel; until reading resumes, a loss may go unnoticed."""
        if self._is_reading and self._socket is not None and not self._loop.is_closed():
            self._loop.remove_reader(self._socket.fileno())
        self._is_reading = False

    def resume_reading(self) -> None:
        """Read again."""
        if not self._is_reading and self._socket is not None:
            self._is_reading = True
            self._loop.add_reader(self._socket.fileno(), self._readable)

    def restart(self) -> None:
        """Drop the connection with all queued data and messages, and reconnect; `down` is not called."""
        self._backlog = []
        self._drop()
        self.problem = NOT_ANSWERED
        if self._is_open:
            self._dial()

    def close(self) -> None:
        """Close and drop all queued data. Calling it again does nothing."""
        self._is_open = False
        self._backlog = []
        self._drop()

    def detach(self, last: Iterable[bytes]) -> FinalFlush | None:
        """Close, and return the unsent data followed by the messages `last`; None if the connection is not up."""
        connection, flush = self._socket, None
        if connection is not None and self.is_up and not self._is_lost:
            flush = FinalFlush(connection, [*self._unsent, *map(self._conversation.encode, last)])
            self._forget_socket()
        self.close()
        return flush

    def _dial(self, wait_s: float = 0.0) -> None:
        self._dialer = Dialer(
            self._peer.endpoint, self._peer.resolver, self._start_handshake, self._dial_failed, wait_s
        )

    def _dial_failed(self, reason: str) -> None:
        self.problem = reason

    def _start_handshake(self, connection: socket.socket) -> None:
        self._dialer = None
        self.problem = NOT_SHAKEN
        self._socket = connection
        if self._send_buffer_bytes:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self._send_buffer_bytes)
        self._conversation = Conversation(self._type, self._peer.mechanism)
        self._set_timer(self._loop.time() + HANDSHAKE_LIMIT_S, self._handshake_timed_out)
        self.resume_reading()
        self._write(self._conversation.greeting)

    def _handshake_timed_out(self) -> None:
        self._lose(f"the peer did not complete the handshake in {HANDSHAKE_LIMIT_S:g} s")

    def _readable(self) -> None:
        if self._socket is None or self._backlog:
            return  # the backlog comes first; its turn is scheduled
        try:
            data = self._socket.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            self._lose(error.strerror or str(error))
            return
        if data:
            self._parse(data)
        else:
            self._lose(self._conversation.hangup_reason or "the peer closed the connection")

    def _parse(self, data: bytes) -> None:
        self._silent_ticks = 0
        try:
            messages = self._conversation.feed(data)
        except ZmtpError as error:
            self._refuse(str(error))
            return
        if answers := self._conversation.take_answers():
            self._write(answers)
        if not self.is_up and self._conversation.is_ready:
            self._complete_handshake()
        if messages:
            self._deliver(messages, len(data) >= LAGGING_BYTES)

    def _complete_handshake(self) -> None:
        self.is_up = True
        self.problem = ""
        self._silent_ticks = 0
        self._set_timer(next_on_grid(self._loop.time() + TICK_S, TICK_S), self._tick)
        self._events.up()

    def _deliver(self, messages: list[Message], is_lagging: bool) -> None:
        if len(messages) > MESSAGES_PER_TURN:
            self._backlog = messages[MESSAGES_PER_TURN:]
            self._loop.call_soon(self._deliver_backlog, is_lagging)
            messages = messages[:MESSAGES_PER_TURN]
        self._received(messages, is_lagging)

    def _deliver_backlog(self, is_lagging: bool) -> None:
        messages, self._backlog = self._backlog, []
        if messages:
            self._deliver(messages, is_lagging)

    def _flush(self) -> None:
        while self._unsent and self._socket is not None:
            data = self._unsent[0]
            try:
                sent = self._socket.send(data)
            except BlockingIOError:
                return
            except OSError as error:
                self._lose(error.strerror or str(error))
                return
            if sent < len(data):
                self._unsent[0] = memoryview(data)[sent:]
            else:
                self._unsent.popleft()
        if self._socket is not None:
            self._loop.remove_writer(self._socket.fileno())
            self._drained()

    def _tick(self) -> None:
        if self._silent_ticks >= SILENT_TICKS:
            self._lose(f"the peer sent nothing for {SILENT_TICKS * TICK_S:g} s")
            return
        if self._silent_ticks and not self._unsent:
            self._write(self._conversation.ping())
        if not self._backlog:  # while there is a backlog, nothing is read
            self._silent_ticks += 1
        self._set_timer(next_on_grid(self._loop.time(), TICK_S), self._tick)

    def _set_timer(self, at_s: float, due: Callable[[], None]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(at_s, due)

    def _lose_soon(self) -> None:
        self._is_lost = True
        self._loop.call_soon(self._lose_if_current, self._socket)

    def _lose_if_current(self, connection: socket.socket | None) -> None:
        if connection is not None and connection is self._socket:
            self._lose("sending failed")

    def _refuse(self, reason: str) -> None:
        if self.is_up:
            log.error("broker_protocol_violated", endpoint=self._peer.endpoint, reason=reason)
        self._lose(reason, REFUSED_RETRY_S)

    def _lose(self, reason: str, wait_s: float = 0.0) -> None:
        was_up = self.is_up
        self._drop()
        self.problem = reason
        self._dial(wait_s or (LOST_RETRY_S if was_up else BROKEN_OFF_RETRY_S))
        if was_up:
            self._events.down(reason)
        else:
            self._events.refused(reason)

    def _drop(self) -> None:
        self.is_up = self._is_lost = False
        self._unsent.clear()
        if self._dialer is not None:
            self._dialer.close()
            self._dialer = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        connection = self._socket
        if connection is not None:
            self._forget_socket()
            connection.close()

    def _forget_socket(self) -> None:
        if self._socket is not None and not self._loop.is_closed():
            self._loop.remove_reader(self._socket.fileno())
            self._loop.remove_writer(self._socket.fileno())
        self._socket = None
        self._is_reading = False
