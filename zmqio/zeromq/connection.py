"""A ZMTP connection to a broker, on the event loop itself. One that is lost is made anew, and its owner is told of
the loss before anything passes the next one.

Why not libzmq: each message that passes one of its sockets wakes a thread of its own first (50 of some 170 us from
publisher to subscriber, `tests.bench.cluster_peers.wire`), a loss is known only by asking a monitor before each
message, and what a stranger at the address says can abort the process (zmtp_engine.cpp:439).

State       meaning                                                        leaves when
dialing     nothing answers at the address yet                             a socket is connected
greeting    both ends shake hands                                          done, or `HANDSHAKE_LIMIT_S` are over
up          messages pass                                                  it ends, or is silent for `SILENT_TICKS`

Queue and policy: what the kernel does not take waits here without a bound; `is_full` tells it, and a publisher
then sends nothing more. What comes waits in the kernel: `READ_BYTES` at most are read in a turn of the loop, and
`HANDED_ON_AT_ONCE` messages at most are handed on in one.
"""

import asyncio
import socket
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from zmqio.exceptions import ZmtpError
from zmqio.protocol.zmtp import GREETING, PING, Conversation, Message, SocketType
from zmqio.zeromq.dialer import Dialer
from zmqio.zeromq.final_flush import FinalFlush
from zmqio.zeromq.socket_options import REFUSED_RETRY_S

__all__ = ["ZmtpConnection", "ZmtpConnectionEvents"]

log = structlog.get_logger(__name__)

READ_BYTES = 1 << 16
LAGGING_BYTES = READ_BYTES // 4
"""Who reads so much at once is taken not to have kept up. Less than the window of a young TCP connection."""
HANDED_ON_AT_ONCE = 256
HANDSHAKE_LIMIT_S = 30.0
NOT_ANSWERED = "nothing has answered yet"
LOST_RETRY_S = 0.01
BROKEN_OFF_RETRY_S = 0.1
TICK_S = 1.0
SILENT_TICKS = 5
"""So many ticks without a word of the peer, though it was asked in each, end a connection; one that this process
was too busy for does not count. Fewer create loss: a busy broker would be taken for gone (DESIGN, section 5)."""


@dataclass(frozen=True, slots=True)
class ZmtpConnectionEvents:
    """Whom to call about one connection; on the loop, never inside a call to the connection.

    Attributes:
        up: after each handshake.
        down: when a connection that was up is lost, with the reason; the next one is being made already.
        refused: when something answered and no handshake came of it; with what it did.
    """

    up: Callable[[], None]
    down: Callable[[str], None]
    refused: Callable[[str], None]


class ZmtpConnection:
    """Keeps one connection to an endpoint. Belongs to the event loop on which it was made.

    Args:
        loop: the running event loop.
        endpoint: `tcp://host:port` or `ipc://path`.
        socket_type: what this end is.
        events: who hears of its state.
        received: called with messages, and whether so much was read with them (`LAGGING_BYTES`) that this process
            does not keep up; must not raise.
        drained: called when the kernel has taken what it had not taken at once.

    Attributes:
        is_up: whether messages pass.
        trouble: why it is not up, as far as known; empty while it is.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        endpoint: str,
        socket_type: SocketType,
        events: ZmtpConnectionEvents,
        received: Callable[[Sequence[Message], bool], None],
        drained: Callable[[], None] = lambda: None,
    ) -> None:
        self._loop = loop
        self._endpoint = endpoint
        self._type = socket_type
        self._events = events
        self._received = received
        self._drained = drained
        self.is_up = False
        self.trouble = NOT_ANSWERED
        self._is_open = True
        self._is_lost = False
        self._is_reading = False
        self._silent_ticks = 0
        self._socket: socket.socket | None = None
        self._conversation = Conversation(socket_type)
        self._unsent: deque[bytes | memoryview] = deque()
        self._backlog: list[Message] = []
        self._timer: asyncio.TimerHandle | None = None
        self._dial: Dialer | None = None
        self._connect()

    @property
    def is_lost(self) -> bool:
        """Whether it was up and is gone, and `down` was not called yet."""
        return self._is_lost

    @property
    def is_full(self) -> bool:
        """Whether the kernel has not taken all that was sent."""
        return bool(self._unsent)

    def send(self, data: bytes) -> None:
        """Send frames; what the kernel does not take now follows in order. Dropped without a connection."""
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
        """Leave what comes in the kernel; a loss may go unnoticed meanwhile."""
        if self._is_reading and self._socket is not None and not self._loop.is_closed():
            self._loop.remove_reader(self._socket.fileno())
        self._is_reading = False

    def resume_reading(self) -> None:
        """Read again."""
        if not self._is_reading and self._socket is not None:
            self._is_reading = True
            self._loop.add_reader(self._socket.fileno(), self._readable)

    def restart(self) -> None:
        """Drop the connection with what waits for it and connect anew; `down` is not called."""
        self._backlog = []
        self._drop()
        self.trouble = NOT_ANSWERED
        if self._is_open:
            self._connect()

    def close(self) -> None:
        """Stop; what waits is dropped. A second time nothing happens."""
        self._is_open = False
        self._backlog = []
        self._drop()

    def leave(self, last: bytes) -> FinalFlush | None:
        """Stop, and hand out what was not sent yet with `last` behind it, if there is a connection for it."""
        connection, unsent = self._socket, [*self._unsent, last]
        leftover = None
        if connection is not None and self.is_up and not self._is_lost:
            self._forget_socket()
            leftover = FinalFlush(connection, unsent)
        self.close()
        return leftover

    def _connect(self, wait_s: float = 0.0) -> None:
        self._dial = Dialer(self._loop, self._endpoint, self._greet, self._unanswered, wait_s)

    def _unanswered(self, reason: str) -> None:
        self.trouble = reason

    def _greet(self, connection: socket.socket) -> None:
        self._dial = None
        self.trouble = "it is connected and has not shaken hands"
        self._socket = connection
        self._conversation = Conversation(self._type)
        self._timer = self._loop.call_later(HANDSHAKE_LIMIT_S, self._lose, "no handshake in time")
        self.resume_reading()
        self.send(GREETING)

    def _readable(self) -> None:
        if self._socket is None or self._backlog:
            return  # what waits comes first; its turn is due
        try:
            data = self._socket.recv(READ_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            self._lose(str(error))
            return
        if data:
            self._hear(data)
        else:
            self._lose("it has closed the connection")

    def _hear(self, data: bytes) -> None:
        self._silent_ticks = 0
        try:
            messages = self._conversation.feed(data)
        except ZmtpError as error:
            self._refuse(str(error))
            return
        if answers := self._conversation.take_answers():
            self.send(answers)
        if self._conversation.is_ready and not self.is_up:
            self._rise()
        if messages:
            self._hand_on(messages, len(data) >= LAGGING_BYTES)

    def _rise(self) -> None:
        self.is_up = True
        self.trouble = ""
        self._silent_ticks = 0
        self._set_timer(TICK_S, self._tick)
        self._events.up()

    def _hand_on(self, messages: list[Message], lags: bool) -> None:
        if len(messages) > HANDED_ON_AT_ONCE:
            self._backlog = messages[HANDED_ON_AT_ONCE:]
            self._loop.call_soon(self._hand_on_backlog, lags)
            messages = messages[:HANDED_ON_AT_ONCE]
        self._received(messages, lags)

    def _hand_on_backlog(self, lags: bool) -> None:
        messages, self._backlog = self._backlog, []
        if messages:
            self._hand_on(messages, lags)

    def _flush(self) -> None:
        while self._unsent and self._socket is not None:
            data = self._unsent[0]
            try:
                sent = self._socket.send(data)
            except BlockingIOError:
                return
            except OSError as error:
                self._lose(str(error))
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
            self._lose(f"it has said nothing for {SILENT_TICKS * TICK_S:g} s")
            return
        if not self._backlog:  # while there is, nothing is read
            self._silent_ticks += 1
        if not self._unsent:
            self.send(PING)
        self._set_timer(TICK_S, self._tick)

    def _set_timer(self, seconds: float, due: Callable[[], None]) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(seconds, due)

    def _lose_soon(self) -> None:
        self._is_lost = True
        self._loop.call_soon(self._lose_one, self._socket)

    def _lose_one(self, connection: socket.socket | None) -> None:
        if connection is not None and connection is self._socket:
            self._lose("nothing can be sent")

    def _refuse(self, reason: str) -> None:
        if self.is_up:
            log.error("bus_peer_malformed", endpoint=self._endpoint, reason=reason)
        self._lose(reason, REFUSED_RETRY_S)

    def _lose(self, reason: str, wait_s: float = 0.0) -> None:
        was_up = self.is_up
        self._drop()
        self.trouble = reason
        self._connect(wait_s or (LOST_RETRY_S if was_up else BROKEN_OFF_RETRY_S))
        if was_up:
            self._events.down(reason)
        else:
            self._events.refused(reason)

    def _drop(self) -> None:
        self.is_up = self._is_lost = False
        self._unsent.clear()
        if self._dial is not None:
            self._dial.close()
            self._dial = None
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
