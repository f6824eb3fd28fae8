"""The subscribing half of a link: a SUB end, connected to a broker's XPUB.

After each handshake it sends all its subscriptions, in byte order.

Queue and policy: what is not read in time waits in the kernel, then in the broker's queue to this node, and then
the broker drops. So after many messages without a pause `on_behind` is called: what comes later may have a hole in
front of it.
"""

import asyncio
import math
from collections.abc import Callable, Sequence

from zmqio.exceptions import TopicError
from zmqio.protocol.topic import split
from zmqio.protocol.zmtp import Message, SocketType, cancellation, subscription
from zmqio.zeromq.connection import ZmtpConnection, ZmtpConnectionEvents

__all__ = ["Subscriber"]

BEHIND_MESSAGES = 8_000
"""Four tenths of the queue that a broker has for each node, by default."""
CAUGHT_UP_S = 0.1
"""A node that reads little for so long has no queue at the broker any more. Not at once: one that catches up as
fast as the broker sends reads little, too."""
SYNC = b"\xff"
"""First byte of what the broker itself says."""


class Subscriber:
    """Receives from one broker. Belongs to the event loop on which it was made.

    Args:
        loop: the running event loop.
        endpoint: the broker's subscribe endpoint.
        on_message: called with topic and body; must not raise.
        on_sync: called with each acknowledgement frame of the broker (`0xff "sync-" id epoch`).
        on_rubbish: called with the reason for each message that is none.
        on_behind: called when so much came without a pause that the broker may drop messages from now on.
        connection: called when it is up (the subscriptions are on their way then), down or refused.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        endpoint: str,
        *,
        on_message: Callable[[bytes, bytes], None],
        on_sync: Callable[[bytes], None],
        on_rubbish: Callable[[str], None],
        on_behind: Callable[[], None],
        connection: ZmtpConnectionEvents,
    ) -> None:
        self._loop = loop
        self._on_message = on_message
        self._on_sync = on_sync
        self._on_rubbish = on_rubbish
        self._on_behind = on_behind
        self._in_a_row = 0
        self._lagged_at_s = -math.inf
        self._is_open = True
        self._topics: dict[bytes, int] = {}
        self._unsaid: list[bytes] = []
        self._up = connection.up
        events = ZmtpConnectionEvents(self._connected, connection.down, connection.refused)
        self._connection = ZmtpConnection(loop, endpoint, SocketType.SUB, events, self._received)

    @property
    def is_up(self) -> bool:
        """Whether there is a connection."""
        return self._connection.is_up

    @property
    def trouble(self) -> str:
        """Why there is none; empty while there is."""
        return self._connection.trouble

    def subscribe(self, topic: bytes) -> None:
        """Subscribe now, and again after each reconnect. Subscriptions are counted."""
        times = self._topics.get(topic, 0)
        self._topics[topic] = times + 1
        if not times:
            self._say(subscription(topic))

    def unsubscribe(self, topic: bytes) -> None:
        """Take one subscription back; nothing happens where there is none."""
        times = self._topics.get(topic, 0)
        if times > 1:
            self._topics[topic] = times - 1
        elif times:
            del self._topics[topic]
            self._say(cancellation(topic))

    def reconnect(self) -> None:
        """Drop a connection that does not answer and connect anew, with all subscriptions."""
        self._connection.restart()

    def close(self) -> None:
        """Stop receiving; what waits is dropped."""
        self._is_open = False
        self._connection.close()

    def _connected(self) -> None:
        self._unsaid = [subscription(topic) for topic in sorted(self._topics)]
        self._say_all()
        self._up()

    def _say(self, command: bytes) -> None:
        """Send a command together with what else is said in this turn of the loop."""
        if not self._connection.is_up:
            return
        if not self._unsaid:
            self._loop.call_soon(self._say_all)
        self._unsaid.append(command)

    def _say_all(self) -> None:
        commands, self._unsaid = self._unsaid, []
        if commands:
            self._connection.send(b"".join(commands))

    def _received(self, messages: Sequence[Message], lags: bool) -> None:
        now_s = self._loop.time()
        if lags:
            self._lagged_at_s = now_s
        if now_s - self._lagged_at_s > CAUGHT_UP_S:
            self._in_a_row = 0
        else:
            self._in_a_row += len(messages)
        if self._in_a_row >= BEHIND_MESSAGES:
            self._in_a_row = 0
            self._on_behind()
        for message in messages:
            if not self._is_open:
                return
            self._take(message)

    def _take(self, message: Message) -> None:
        whole, bodies = (message, ()) if isinstance(message, bytes) else (message[0], message[1:])
        if whole[:1] == SYNC:
            self._on_sync(whole)
            return
        try:
            topic, body = split(whole)
        except TopicError as error:
            self._on_rubbish(str(error))
            return
        if not bodies:
            self._on_message(topic, body)
        elif body or len(bodies) > 1:
            self._on_rubbish("more frames than a topic and a body")
        else:
            self._on_message(topic, bodies[0])
