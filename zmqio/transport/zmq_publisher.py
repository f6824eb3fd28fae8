"""The publishing half of a link: one XPUB socket connected to a broker's XSUB.

Why XPUB and not PUB: a PUB whose connection is up but which has not heard the broker's subscription to
everything (the frame 0x01) drops what it is given, silently and without a way to know. An XPUB shows the
subscription, so this half says that it is up only when nothing can be lost that way. The price: it also shows
every subscription of every node. These are thrown away once a second instead of waking the process for each.

Queue and policy: at most `queue_messages` wait for the broker. XPUB_NODROP makes a full queue an error that the
caller is told. While the connection is down nothing waits: the socket is dropped with what is in it, and
a new one connects; the replay of the adapter brings what was missed, so nothing stale is ever flushed.
"""

import asyncio

import zmq

from zmqio.transport.zmq_context import SyncContext
from zmqio.transport.zmq_monitor import ConnectionEvents, Monitor
from zmqio.transport.zmq_options import REFUSED_RETRY_S, fd_of, set_link_options

__all__ = ["Publisher"]

# Source: a subscription arrives as 0x01 and the topic (ZMTP 3.0, "subscribe"); an empty topic means everything.
SUBSCRIBED_TO_ALL = b"\x01"
DISCARD_INTERVAL_S = 1.0
DISCARD_AT_ONCE = 5_000
HEARTBEAT_IVL_MS = 1_000
# Tighter ones create loss: a broker that is merely busy would be taken for gone (DESIGN, section 5).
HEARTBEAT_TIMEOUT_MS = 5_000


class Publisher:
    """Publishes to one broker. Belongs to the event loop on which it was made.

    Args:
        loop: the running event loop.
        context: where sockets are made.
        endpoint: the broker's publish endpoint.
        queue_messages: most messages that wait for the broker.
        connection: called when it is up (the broker takes everything that is published here), down (a new one is
            being tried already) or refused.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        context: SyncContext,
        endpoint: str,
        queue_messages: int,
        connection: ConnectionEvents,
    ) -> None:
        self._loop = loop
        self._context = context
        self._endpoint = endpoint
        self._queue_messages = queue_messages
        self._connection = connection
        self.is_up = False
        self._discarding: asyncio.Handle | None = None
        self._retrying: asyncio.TimerHandle | None = None
        self._open()

    @property
    def is_lost(self) -> bool:
        """Whether libzmq has reported that the connection is gone, and nobody has acted on it yet."""
        return self._monitor.has_news

    def send(self, frame: bytes) -> bool:
        """Queue one message; False when the queue is full, or the connection is gone.

        libzmq connects again by itself, and what is then sent would follow what was lost without anybody noticing.
        So once a loss has been reported, nothing is sent until it has been acted on.
        """
        if self._monitor.has_news:
            # Asking may have taken the change of the FD that would wake its reader.
            self._loop.call_soon(self._monitor.read)
            return False
        try:
            self._socket.send(frame, zmq.DONTWAIT)
        except zmq.Again:
            return self._send_after_commands(frame)
        return True

    def reset(self) -> None:
        """Drop the connection and what waits for it, and connect anew."""
        self.close(linger_ms=0)
        self._open()

    def close(self, linger_ms: int) -> None:
        """Stop; what is queued is still sent for `linger_ms` milliseconds, in the background."""
        self.is_up = False
        if self._discarding is not None:
            self._discarding.cancel()
            self._discarding = None
        if self._retrying is not None:
            self._retrying.cancel()
            self._retrying = None
        self._stop_listening()
        self._monitor.close()
        self._socket.close(linger=linger_ms)

    def _open(self) -> None:
        socket = self._socket = self._context.socket(zmq.XPUB)
        set_link_options(socket, self._endpoint)
        socket.setsockopt(zmq.SNDHWM, self._queue_messages)
        socket.setsockopt(zmq.XPUB_NODROP, 1)
        # Incoming are subscriptions only. Bounded, with heartbeats, libzmq 4.3.5 aborts (see zmq_subscriber).
        socket.setsockopt(zmq.RCVHWM, 0)
        socket.setsockopt(zmq.HEARTBEAT_IVL, HEARTBEAT_IVL_MS)
        socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MS)
        # A handshake is not enough here: `_listen` tells when the connection is up.
        events = ConnectionEvents(lambda: None, self._disconnected, self._refused)
        self._monitor = Monitor(self._loop, self._context, socket, events)
        socket.connect(self._endpoint)
        self._fd: int | None = fd_of(socket)
        self._loop.add_reader(self._fd, self._listen)
        # The FD tells of changes only, and `connect` may already have taken one.
        self._loop.call_soon(self._listen)

    def _listen(self) -> None:
        while self._fd is not None:
            try:
                frame = self._socket.recv(zmq.NOBLOCK)
            except zmq.Again:
                return
            if frame == SUBSCRIBED_TO_ALL:
                self._stop_listening()
                self.is_up = True
                self._discarding = self._loop.call_soon(self._discard)
                self._connection.up()

    def _stop_listening(self) -> None:
        if self._fd is not None and not self._loop.is_closed():
            self._loop.remove_reader(self._fd)
        self._fd = None

    def _discard(self) -> None:
        try:
            for _ in range(DISCARD_AT_ONCE):
                self._socket.recv(zmq.NOBLOCK)
        except zmq.Again:
            self._discarding = self._loop.call_later(DISCARD_INTERVAL_S, self._discard)
        else:
            self._discarding = self._loop.call_soon(self._discard)

    def _disconnected(self) -> None:
        self.reset()
        self._connection.down()

    def _refused(self) -> None:
        if self._retrying is None:
            self._retrying = self._loop.call_later(REFUSED_RETRY_S, self._retry)
        self._connection.refused()

    def _retry(self) -> None:
        self._retrying = None
        if not self._monitor.is_up:
            self.reset()

    def _send_after_commands(self, frame: bytes) -> bool:
        # libzmq looks at its commands ("the queue has room again") at most once a millisecond while sending;
        # reading EVENTS makes it look now.
        self._socket.getsockopt(zmq.EVENTS)
        try:
            self._socket.send(frame, zmq.DONTWAIT)
        except zmq.Again:
            return False
        return True
