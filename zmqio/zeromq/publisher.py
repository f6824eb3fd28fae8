"""The publishing half of a link: a PUB end, connected to a broker's XSUB.

It is up when it has heard the broker's subscription to everything: before that the broker may not be ready for
what it is given. The subscriptions of all nodes that it hears after that are thrown away, four times a second
instead of waking the process for each.

The first message of a turn of the event loop is sent at once, those behind it in one piece at the next turn.

Queue and policy: at most `queue_messages` wait for the broker, besides one piece of `PIECE_BYTES` that its socket
has not taken yet; a full queue is an error that the caller is told. While the connection is down nothing waits: it
is dropped with what is in it; the replay of the adapter brings what was missed, so nothing stale is ever flushed.
"""

import asyncio
from collections.abc import Sequence

from zmqio.protocol.zmtp import Message, SocketType, frame
from zmqio.zeromq.connection import ZmtpConnection, ZmtpConnectionEvents
from zmqio.zeromq.final_flush import FinalFlush

__all__ = ["Publisher"]

# A subscription to nothing is one to everything.
SUBSCRIBED_TO_ALL = b"\x01"
DISCARD_INTERVAL_S = 0.25
PIECE_BYTES = 1 << 16


class Publisher:
    """Publishes to one broker. Belongs to the event loop on which it was made.

    Args:
        loop: the running event loop.
        endpoint: the broker's publish endpoint.
        queue_messages: most messages that wait for the broker.
        connection: called when it is up (the broker takes everything that is published here), down (a new one is
            being tried already) or refused.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, endpoint: str, queue_messages: int, connection: ZmtpConnectionEvents
    ) -> None:
        self._loop = loop
        self._queue_messages = queue_messages
        self._events = connection
        self.is_up = False
        self._gathered: list[bytes] = []
        self._gathered_bytes = 0
        self._is_gathering = False
        self._listening: asyncio.TimerHandle | None = None
        # A handshake is not enough here: `_heard` tells when the connection is up.
        events = ZmtpConnectionEvents(lambda: None, self._disconnected, connection.refused)
        self._connection = ZmtpConnection(loop, endpoint, SocketType.PUB, events, self._heard, self._send_gathered)

    @property
    def trouble(self) -> str:
        """Why it is not up; empty while it is."""
        return "" if self.is_up else self._connection.trouble or "it is connected and takes no messages yet"

    @property
    def is_lost(self) -> bool:
        """Whether the connection is gone, and nobody has acted on it yet."""
        return self._connection.is_lost

    def send(self, message: bytes) -> bool:
        """Send or queue one message; False when the queue is full, or the connection is gone.

        Once the loop is closed it waits for whoever sends what `leave` hands out.
        """
        if not self.is_up or self._connection.is_lost:
            return False
        if self._is_gathering or self._loop.is_closed():
            return self._gather(frame(message))
        self._is_gathering = True
        self._connection.send(frame(message))
        self._loop.call_soon(self._send_gathered)
        return not self._connection.is_lost

    def reset(self) -> None:
        """Drop the connection and what waits for it, and connect anew."""
        self._settle()
        self._connection.restart()

    def leave(self) -> FinalFlush | None:
        """Stop, and hand out what was not sent yet, if there is a connection for it."""
        gathered = b"".join(self._gathered)
        self._settle()
        return self._connection.leave(gathered)

    def _settle(self) -> None:
        self.is_up = False
        self._gathered, self._gathered_bytes = [], 0
        self._is_gathering = False
        if self._listening is not None:
            self._listening.cancel()
            self._listening = None

    def _gather(self, framed: bytes) -> bool:
        if len(self._gathered) >= self._queue_messages:
            return False
        self._gathered.append(framed)
        self._gathered_bytes += len(framed)
        if self._gathered_bytes >= PIECE_BYTES and not (self._connection.is_full or self._loop.is_closed()):
            self._send_piece()
        return True

    def _send_gathered(self) -> None:
        """Send what waits, as far as the broker takes it; the rest follows when it has."""
        while self._gathered and not self._connection.is_full:
            self._send_piece()
        if not self._connection.is_full:
            self._is_gathering = False

    def _send_piece(self) -> None:
        size = count = 0
        for each in self._gathered:
            size += len(each)
            count += 1
            if size >= PIECE_BYTES:
                break
        piece = b"".join(self._gathered[:count])
        del self._gathered[:count]
        self._gathered_bytes -= size
        self._connection.send(piece)

    def _heard(self, messages: Sequence[Message], lags: bool) -> None:
        # Subscriptions of a connection that was lost meanwhile say nothing of the next one.
        if not self.is_up and self._connection.is_up and SUBSCRIBED_TO_ALL in messages:
            self.is_up = True
            self._events.up()
        if self.is_up and not lags:
            self._connection.pause_reading()
            self._listening = self._loop.call_later(DISCARD_INTERVAL_S, self._connection.resume_reading)

    def _disconnected(self, reason: str) -> None:
        self._settle()
        self._events.down(reason)
