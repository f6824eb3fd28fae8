"""The subscriber of a link: a SUB end, connected to a broker's XPUB.

After each handshake it sends all its subscriptions: rooms after the others, because there may be many, and then
sync topics. A broker disconnects nodes that subscribe too fast, so subscriptions wait here while the pace
(`SendPace`) or the kernel accepts no more.

Queue and policy: messages that are not read in time wait in the kernel, then in the broker's queue for this node;
when that is full, the broker drops messages. `on_overrun` is therefore called after many messages without a pause:
a gap may precede any message after it.
"""

import asyncio
import math
from collections import deque
from collections.abc import Callable, Sequence

from zmqio.exceptions import TopicError
from zmqio.protocol.mechanism import SocketType
from zmqio.protocol.topic import TopicKind, split
from zmqio.protocol.zmtp import Message, cancellation, subscription
from zmqio.zeromq.connection import ZmtpConnection, ZmtpConnectionEvents, ZmtpPeer
from zmqio.zeromq.send_pace import SendPace

__all__ = ["Subscriber"]

OVERRUN_MESSAGES = 8_000
"""40 % of the broker's default queue for each node."""
CAUGHT_UP_S = 0.1
"""Seconds of small reads after which the broker's queue for this node is known to be empty. One small read is no
proof: a node that reads exactly as fast as the broker sends has small reads, too."""
FRAME_BYTES = 3
"""Bytes of the frame of a subscription besides its topic, without encryption."""
SEND_INTERVAL_S = 0.02
"""Seconds until subscriptions that had to wait are sent, or as many of them as may be sent then."""
SEND_BUFFER_BYTES = 64 << 10
"""Of the kernel. What it holds while the broker does not read arrives there all at once."""
NOTICE = b"\xff"
"""First byte of messages from the broker itself, and of sync topics."""
ROOM_KIND = b"/%s/" % TopicKind.ROOM.encode()


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
        self._unsent_commands: deque[bytes] = deque()
        self._sending: asyncio.Handle | None = None
        self._pace = SendPace(loop.time())
        self._up = events.up
        of_connection = ZmtpConnectionEvents(self._connected, events.down, events.refused)
        self._connection = ZmtpConnection(
            loop, peer, SocketType.SUB, of_connection, self._received, send_buffer_bytes=SEND_BUFFER_BYTES
        )

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
    def topic_bytes(self) -> int:
        """Size of these topics."""
        return self._topic_bytes

    def set_limit(self, subscription_bytes: int) -> None:
        """Send at the pace that this limit of the broker allows."""
        self._pace.set_limit(subscription_bytes)

    def is_unsent(self, topic: bytes) -> bool:
        """Whether the subscription to a topic waits until it may be sent."""
        return subscription(topic) in self._unsent_commands

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
        self._stop_sending()
        self._connection.close()

    def _connected(self) -> None:
        self._stop_sending()
        self._unsent_commands.extend(map(subscription, sorted(self._topics, key=_order)))
        self._pace.restart(self._loop.time())
        self._send_commands()
        self._up()

    def _send(self, command: bytes) -> None:
        """Send a command together with the others of this turn of the event loop."""
        if not self._connection.is_up:
            return
        self._unsent_commands.append(command)
        if self._sending is None:
            self._sending = self._loop.call_soon(self._send_commands)

    def _send_commands(self) -> None:
        self._sending = None
        if not self._connection.is_up:
            return  # everything is sent on the next connection
        if commands := self._sendable():
            self._connection.send_all(commands)
        if self._unsent_commands:
            self._sending = self._loop.call_later(SEND_INTERVAL_S, self._send_commands)

    def _sendable(self) -> list[bytes]:
        """Take the commands that may be sent now."""
        commands: list[bytes] = []
        unsent, may_send = self._unsent_commands, self._pace.may_send(self._loop.time())
        around = FRAME_BYTES - 1 + self._connection.sealing_bytes  # a command has the third byte
        while unsent and may_send and not self._connection.is_full:
            commands.append(unsent.popleft())
            may_send = self._pace.sent(len(commands[-1]) + around)
        return commands

    def _stop_sending(self) -> None:
        self._unsent_commands.clear()
        if self._sending is not None:
            self._sending.cancel()
            self._sending = None

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


def _order(topic: bytes) -> tuple[bool, bool, bytes]:
    return topic.startswith(NOTICE), ROOM_KIND in topic, topic
