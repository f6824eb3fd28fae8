"""The subscribing half of a link: one SUB socket connected to a broker's XPUB.

The socket reconnects by itself and libzmq then sends all its subscriptions again, in byte order.

Queue and policy: at most `RECEIVE_QUEUE_MESSAGES` wait for this process. When it does not read them, the
connection stops, the broker's queue to this node fills and the broker drops. So after nearly as many messages
without a pause, `on_behind` is called: what comes later may have a hole in front of it.

A lost connection is noticed before anything that came by the next one is handed on: libzmq reports the loss first,
and whatever was received together with that report is handed on after it.

No heartbeats are set on this socket. With a bounded inbox libzmq 4.3.5 aborts the process: the connection of a
socket that has stopped reading times out, a new one replaces it, and the next read asserts (`_input_stopped`,
stream_engine_base.cpp; reproduced). A broker that went away without a word is noticed by the publisher's
heartbeats, by the broker's heartbeats to this socket, and by TCP keep-alive.
"""

import asyncio
import contextlib
from collections.abc import Callable

import zmq

from zmqio.exceptions import TopicError
from zmqio.protocol.topic import split
from zmqio.transport.zmq_context import SyncContext
from zmqio.transport.zmq_monitor import ConnectionEvents, Monitor
from zmqio.transport.zmq_options import REFUSED_RETRY_S, fd_of, set_link_options

__all__ = ["Subscriber"]

DRAIN_MESSAGES = 256
RECEIVE_QUEUE_MESSAGES = 10_000
BEHIND_MESSAGES = RECEIVE_QUEUE_MESSAGES * 4 // 5
SYNC_FIRST_BYTE = 0xFF
# As plain numbers they cost a third less to ask with.
EVENTS, POLLIN = int(zmq.EVENTS), int(zmq.POLLIN)


class Subscriber:
    """Receives from one broker. Belongs to the event loop on which it was made.

    Args:
        loop: the running event loop.
        context: where sockets are made.
        endpoint: the broker's subscribe endpoint.
        on_message: called with topic and body; must not raise.
        on_sync: called with each acknowledgement frame of the broker (`0xff "sync-" id epoch`).
        on_rubbish: called with the reason for each message that is none.
        on_behind: called when so much came without a pause that the broker may drop messages from now on.
        connection: called when it is up (libzmq then sends the subscriptions), down or refused.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        context: SyncContext,
        endpoint: str,
        *,
        on_message: Callable[[bytes, bytes], None],
        on_sync: Callable[[bytes], None],
        on_rubbish: Callable[[str], None],
        on_behind: Callable[[], None],
        connection: ConnectionEvents,
    ) -> None:
        self._loop = loop
        self._endpoint = endpoint
        self._on_message = on_message
        self._on_sync = on_sync
        self._on_rubbish = on_rubbish
        self._on_behind = on_behind
        self._in_a_row = 0
        self._connection = connection
        self.is_up = False
        self._is_open = True
        self._drain_is_due = False
        self._retrying: asyncio.TimerHandle | None = None
        socket = self._socket = context.socket(zmq.SUB)
        set_link_options(socket, endpoint)
        # Bounded, subscriptions past the mark vanish silently (DESIGN, section 5).
        socket.setsockopt(zmq.SNDHWM, 0)
        socket.setsockopt(zmq.RCVHWM, RECEIVE_QUEUE_MESSAGES)
        events = ConnectionEvents(self._connected, self._disconnected, self._refused)
        self._monitor = Monitor(loop, context, socket, events)
        socket.connect(endpoint)
        self._fd = fd_of(socket)
        loop.add_reader(self._fd, self._readable)
        self._readable_soon()

    def subscribe(self, topic: bytes) -> None:
        """Subscribe now, and again after each reconnect. Subscriptions are counted."""
        self._socket.setsockopt(zmq.SUBSCRIBE, topic)

    def unsubscribe(self, topic: bytes) -> None:
        """Take one subscription back."""
        self._socket.setsockopt(zmq.UNSUBSCRIBE, topic)

    def reconnect(self) -> None:
        """Drop a connection that does not answer and connect anew, with all subscriptions."""
        self.is_up = False
        self._monitor.forget()
        # Nothing to disconnect is left where libzmq has given up.
        with contextlib.suppress(zmq.ZMQError):
            self._socket.disconnect(self._endpoint)
        self._socket.connect(self._endpoint)
        self._readable_soon()

    def close(self) -> None:
        """Stop receiving; what waits is dropped."""
        if not self._is_open:
            return
        self._is_open = self.is_up = False
        if self._retrying is not None:
            self._retrying.cancel()
        if not self._loop.is_closed():
            self._loop.remove_reader(self._fd)
        self._monitor.close()
        self._socket.close(linger=0)

    def _connected(self) -> None:
        self.is_up = True
        # Subscriptions are sent again when the socket looks at its commands, which receiving does.
        self._readable_soon()
        self._connection.up()

    def _disconnected(self) -> None:
        self.is_up = False
        self._connection.down()

    def _refused(self) -> None:
        if self._retrying is None:
            self._retrying = self._loop.call_later(REFUSED_RETRY_S, self._retry)
        self._connection.refused()

    def _retry(self) -> None:
        self._retrying = None
        if not self.is_up:
            self.reconnect()

    def _readable_soon(self) -> None:
        # The FD tells of changes only: whatever may have taken one is followed by this.
        if not self._drain_is_due:
            self._drain_is_due = True
            self._loop.call_soon(self._drain)

    def _readable(self) -> None:
        if not self._drain_is_due:
            self._drain()

    def _drain(self) -> None:
        self._drain_is_due = False
        if not self._is_open:
            return
        messages, more = self._receive()
        if self._monitor.has_news:
            self._monitor.read()
        self._in_a_row = self._in_a_row + len(messages) if more else 0
        if self._in_a_row >= BEHIND_MESSAGES:
            self._in_a_row = 0
            self._on_behind()
        if more:
            self._readable_soon()
        on_message = self._on_message
        for topic, body in messages:
            if not self._is_open:
                return
            if body is None:
                self._on_sync(topic)
            else:
                on_message(topic, body)

    def _receive(self) -> tuple[list[tuple[bytes, bytes | None]], bool]:
        """Receive what is there, at most `DRAIN_MESSAGES`.

        Returns:
            Topics and bodies (None for an acknowledgement, which is its own topic), and whether there may be more.
        """
        messages: list[tuple[bytes, bytes | None]] = []
        socket, take = self._socket, self._take
        receive = socket.recv
        try:
            take(receive(zmq.NOBLOCK), messages)
            # Under a light load messages come alone: asking costs half of what receiving nothing does.
            if not int(socket.getsockopt(EVENTS)) & POLLIN:
                return messages, False
            for _ in range(DRAIN_MESSAGES - 1):
                take(receive(zmq.NOBLOCK), messages)
        except zmq.Again:
            return messages, False
        return messages, True

    def _take(self, frame: bytes, messages: list[tuple[bytes, bytes | None]]) -> None:
        if frame and frame[0] == SYNC_FIRST_BYTE:
            messages.append((frame, None))
            return
        try:
            topic, body = split(frame)
        except TopicError as error:
            self._skip_rest()
            self._on_rubbish(str(error))
            return
        # Asking for more frames costs as much as receiving one, so it is asked only where a body is missing.
        # A frame behind a whole message is then taken for the next one: the sender could as well have sent it.
        if body or not self._socket.getsockopt(zmq.RCVMORE):
            messages.append((topic, body))
        else:
            self._take_second_frame(topic, messages)

    def _take_second_frame(self, topic: bytes, messages: list[tuple[bytes, bytes | None]]) -> None:
        body = self._socket.recv(zmq.NOBLOCK)
        if self._skip_rest():
            self._on_rubbish("more than two frames")
        else:
            messages.append((topic, body))

    def _skip_rest(self) -> int:
        frames = 0
        while self._socket.getsockopt(zmq.RCVMORE):
            self._socket.recv(zmq.NOBLOCK)
            frames += 1
        return frames
