"""The publisher of a link: a PUB end, connected to a broker's XSUB.

A publisher is up once it has received the broker's subscription to everything; until then the broker may not be
ready to accept messages. Later subscriptions, which libzmq forwards from all nodes, are read and discarded four
times a second, so that they do not wake the process one by one.

The first message of a turn of the event loop is sent at once, later messages of that turn together at its end.
While each turn has several messages, all messages of a turn are sent together at its end: each write wakes three
threads of the broker and the receivers, which costs them more than a message.

Queue and policy: at most `queue_messages` with `queue_bytes` wait for the broker, besides `BATCH_BYTES` that the
kernel has not accepted yet; beyond that, `send` returns False. A larger message is accepted if none waits. Nothing
is queued while disconnected, and the queue of a lost connection is dropped: nodes recover missed messages by
replay, so nothing stale is ever sent.
"""

import asyncio
from collections.abc import Sequence

from zmqio.protocol.mechanism import SocketType
from zmqio.protocol.zmtp import Message
from zmqio.zeromq.connection import ZmtpConnection, ZmtpConnectionEvents, ZmtpPeer
from zmqio.zeromq.final_flush import FinalFlush

__all__ = ["Publisher"]

# The empty topic matches everything.
SUBSCRIBED_TO_ALL = b"\x01"
DISCARD_INTERVAL_S = 0.25
BATCH_BYTES = 1 << 16
NOT_SUBSCRIBED = "connected, but the broker does not accept messages yet"


class Publisher:
    """Publishes to one broker. Belongs to the running event loop.

    Args:
        loop: the running event loop.
        peer: the broker's publish endpoint.
        queue_messages: most messages queued for the broker.
        queue_bytes: most bytes of these messages.
        events: called when the publisher is up (the broker accepts everything published here), down (it is already
            reconnecting) or refused.

    Attributes:
        is_up: whether the broker accepts messages.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        peer: ZmtpPeer,
        queue_messages: int,
        queue_bytes: int,
        events: ZmtpConnectionEvents,
    ) -> None:
        self._loop = loop
        self._queue_messages = queue_messages
        self._max_queue_bytes = queue_bytes
        self._events = events
        self.is_up = False
        self._queue: list[bytes] = []
        self._queue_bytes = 0
        self._is_queueing = False
        self._is_bursting = False
        self._resume_timer: asyncio.TimerHandle | None = None
        # A handshake is not enough here: `_received` decides when the publisher is up.
        of_connection = ZmtpConnectionEvents(lambda: None, self._disconnected, events.refused)
        self._connection = ZmtpConnection(
            loop, peer, SocketType.PUB, of_connection, self._received, self._send_queue
        )

    @property
    def problem(self) -> str:
        """The reason why the publisher is not up; empty while it is up."""
        return "" if self.is_up else self._connection.problem or NOT_SUBSCRIBED

    @property
    def is_lost(self) -> bool:
        """Whether the connection has failed and `down` has not been called yet."""
        return self._connection.is_lost

    def send(self, message: bytes) -> bool:
        """Send or queue one message; return False if the queue is full or the connection is lost.

        After the loop is closed, messages are only queued; `detach` returns them.
        """
        if not self.is_up or self._connection.is_lost:
            return False
        if self._is_queueing or self._loop.is_closed():
            return self._enqueue(message)
        self._loop.call_soon(self._end_turn)
        self._is_queueing = True
        if self._is_bursting:
            return self._enqueue(message)
        self._connection.send(message)
        return not self._connection.is_lost

    def restart(self) -> None:
        """Drop the connection and the queue, and reconnect."""
        self._reset()
        self._connection.restart()

    def detach(self) -> FinalFlush | None:
        """Close, and return what has not been sent yet; None if not connected."""
        queued = self._queue
        self._reset()
        return self._connection.detach(queued)

    def _reset(self) -> None:
        self.is_up = False
        self._queue, self._queue_bytes = [], 0
        self._is_queueing = self._is_bursting = False
        if self._resume_timer is not None:
            self._resume_timer.cancel()
            self._resume_timer = None

    def _enqueue(self, message: bytes) -> bool:
        if len(self._queue) >= self._queue_messages or (
            self._queue and self._queue_bytes + len(message) > self._max_queue_bytes
        ):
            return False
        self._queue.append(message)
        self._queue_bytes += len(message)
        if self._queue_bytes >= BATCH_BYTES and not (self._connection.is_full or self._loop.is_closed()):
            self._send_batch()
        return True

    def _end_turn(self) -> None:
        sent = 0 if self._is_bursting else 1
        self._is_bursting = sent + len(self._queue) > 1
        self._send_queue()

    def _send_queue(self) -> None:
        """Send the queue until the kernel is full; continues when the connection has drained."""
        while self._queue and not self._connection.is_full:
            self._send_batch()
        if not self._connection.is_full:
            self._is_queueing = False

    def _send_batch(self) -> None:
        size = count = 0
        for message in self._queue:
            size += len(message)
            count += 1
            if size >= BATCH_BYTES:
                break
        batch = self._queue[:count]
        del self._queue[:count]
        self._queue_bytes -= size
        self._connection.send_all(batch)

    def _received(self, messages: Sequence[Message], is_lagging: bool) -> None:
        # Messages of a lost connection may be delivered before the next connection is up.
        if not self.is_up and self._connection.is_up and SUBSCRIBED_TO_ALL in messages:
            self.is_up = True
            self._events.up()
        if self.is_up and not is_lagging:
            self._connection.pause_reading()
            self._resume_timer = self._loop.call_later(DISCARD_INTERVAL_S, self._connection.resume_reading)

    def _disconnected(self, reason: str) -> None:
        self._reset()
        self._events.down(reason)
