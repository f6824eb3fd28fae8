"""The subscriber of a link: a SUB end, connected to a broker's XPUB.

After each handshake it sends all its subscriptions, in byte order.

Queue and policy: messages that are not read in time wait in the kernel, then in the broker's queue for this node;
when that is full, the broker drops messages. `on_overrun` is therefore called after many messages without a pause:
a gap may precede any message after it.
"""

import asyncio
import math
from collections.abc import Callable, Sequence

from zmqio.exceptions import TopicError
from zmqio.protocol.mechanism import SocketType
from zmqio.protocol.topic import split
from zmqio.protocol.zmtp import Message, cancellation, subscription
from zmqio.zeromq.connection import ZmtpConnection, ZmtpConnectionEvents, ZmtpPeer

__all__ = ["Subscriber"]

OVERRUN_MESSAGES = 8_000
"""40 % of the broker's default queue for each node."""
CAUGHT_UP_S = 0.1
"""Seconds of small reads after which the broker's queue for this node is known to be empty. One small read is no
proof: a node that reads exactly as fast as the broker sends has small reads, too."""
FRAME_BYTES = 3
"""Bytes of the frame of a subscription besides its topic, without encryption."""
NOTICE = b"\xff"
"""First byte of messages from the broker itself."""


class Subscriber:
    """Receives from one broker. Belongs to the running event loop.

    Args:
        loop: the running event loop.
        peer: the broker's subscribe endpoint.
        on_message: called with topic and body; must not raise.
        on_notice: called with each frame of the broker itself: an acknowledgement (`0xff "sync-" id epoch`) or the
            departure of a node (`0xff "gone-" inbox topic`).
        on_malformed: called with the reason for each malformed message, which is dropped.
        on_overrun: called when so many messages arrived without a pause that the broker may drop messages from now
            on.
        events: called when the subscriber is up (its subscriptions are being sent), down or refused.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        peer: ZmtpPeer,
        *,
        on_message: Callable[[bytes, bytes], None],
        on_notice: Callable[[bytes], None],
        on_malformed: Callable[[str], None],
        on_overrun: Callable[[], None],
        events: ZmtpConnectionEvents,
    ) -> None:
        self._loop = loop
        self._on_message = on_message
        self._on_notice = on_notice
        self._on_malformed = on_malformed
        self._on_overrun = on_overrun
        self._messages_without_pause = 0
        self._lagged_at_s = -math.inf
        self._is_open = True
        self._topics: dict[bytes, int] = {}
        self._topic_bytes = 0
        self._unsent_commands: list[bytes] = []
        self._up = events.up
        of_connection = ZmtpConnectionEvents(self._connected, events.down, events.refused)
        self._connection = ZmtpConnection(loop, peer, SocketType.SUB, of_connection, self._received)

    @property
    def is_up(self) -> bool:
        """Whether it is connected."""
        return self._connection.is_up

    @property
    def problem(self) -> str:
        """The reason why it is not connected; empty while it is."""
        return self._connection.problem

    @property
    def topics(self) -> int:
        """Number of topics that it subscribes to."""
        return len(self._topics)

    @property
    def subscription_bytes(self) -> int:
        """Size of all subscriptions as they are sent after each handshake, encrypted if there are keys."""
        return self._topic_bytes + len(self._topics) * (FRAME_BYTES + self._connection.sealing_bytes)

    def subscribe(self, topic: bytes) -> None:
        """Subscribe now, and again after each reconnection. Subscriptions are counted."""
        count = self._topics.get(topic, 0)
        self._topics[topic] = count + 1
        if not count:
            self._topic_bytes += len(topic)
            self._send(subscription(topic))

    def unsubscribe(self, topic: bytes) -> None:
        """Revoke one subscription to `topic`; does nothing if there is none."""
        count = self._topics.get(topic, 0)
        if count > 1:
            self._topics[topic] = count - 1
        elif count:
            del self._topics[topic]
            self._topic_bytes -= len(topic)
            self._send(cancellation(topic))

    def restart(self) -> None:
        """Drop an unresponsive connection and reconnect, with all subscriptions."""
        self._connection.restart()

    def close(self) -> None:
        """Stop receiving; messages not yet delivered are dropped."""
        self._is_open = False
        self._connection.close()

    def _connected(self) -> None:
        self._unsent_commands = [subscription(topic) for topic in sorted(self._topics)]
        self._send_commands()
        self._up()

    def _send(self, command: bytes) -> None:
        """Send a command together with the others of this turn of the event loop."""
        if not self._connection.is_up:
            return
        if not self._unsent_commands:
            self._loop.call_soon(self._send_commands)
        self._unsent_commands.append(command)

    def _send_commands(self) -> None:
        commands, self._unsent_commands = self._unsent_commands, []
        if commands:
            self._connection.send_all(commands)

    def _received(self, messages: Sequence[Message], is_lagging: bool) -> None:
        now_s = self._loop.time()
        if is_lagging:
            self._lagged_at_s = now_s
        if now_s - self._lagged_at_s > CAUGHT_UP_S:
            self._messages_without_pause = 0
        else:
            self._messages_without_pause += len(messages)
        if self._messages_without_pause >= OVERRUN_MESSAGES:
            self._messages_without_pause = 0
            self._on_overrun()
        for message in messages:
            if not self._is_open:
                return
            self._deliver(message)

    def _deliver(self, message: Message) -> None:
        first, bodies = (message, ()) if isinstance(message, bytes) else (message[0], message[1:])
        if first[:1] == NOTICE:
            self._on_notice(first)
            return
        try:
            topic, body = split(first)
        except TopicError as error:
            self._on_malformed(str(error))
            return
        if not bodies:
            self._on_message(topic, body)
        elif body or len(bodies) > 1:
            self._on_malformed("more frames than a topic and a body")
        else:
            self._on_message(topic, bodies[0])
