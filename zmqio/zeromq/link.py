"""One broker, as a node sees it: a publishing and a subscribing half, and whether both can be relied on.

State      meaning                                                           leaves when
connecting one of the halves has no connection                               both have one
syncing    both are connected; the broker is applying the subscriptions      it acknowledges, or a half is lost
ready      published messages arrive and all subscriptions are applied       a half is lost

A broker that does not acknowledge within a second is asked again (its answer can fall victim to a full queue);
after `silent_after_s` its connection is taken for dead and made anew.
"""

import asyncio
import enum
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from zmqio.zeromq.connection import ZmtpConnectionEvents
from zmqio.zeromq.context import SyncContext
from zmqio.zeromq.endpoints import endpoints_of
from zmqio.zeromq.final_flush import FinalFlush
from zmqio.zeromq.link_log import LinkLog
from zmqio.zeromq.publisher import Publisher
from zmqio.zeromq.subscribe_barrier import SubscribeBarrier, SyncQueue, make_sync_topic, parse_acknowledgement
from zmqio.zeromq.subscriber import Subscriber
from zmqio.zeromq.version_check import VersionCheck, say_hello

__all__ = ["BrokerLink", "LinkEvents", "LinkOptions", "LinkState"]

ASK_AGAIN_S = 1.0


class LinkState(enum.Enum):
    """See the table above."""

    CONNECTING = "connecting"
    SYNCING = "syncing"
    READY = "ready"


class LinkEvents(Protocol):
    """What a link reports to the bus."""

    def link_message(self, link: int, topic: bytes, body: bytes) -> None:
        """A message came; must not raise."""

    def link_rubbish(self, link: int, reason: str) -> None:
        """Something came that is no message; it was dropped."""

    def link_behind(self, link: int) -> None:
        """The broker may drop messages to this node from now on: they are not read in time."""

    def link_lost(self, link: int) -> None:
        """The link was ready and is not any more."""

    def link_ready(self, link: int) -> None:
        """The link has become ready."""


@dataclass(frozen=True, slots=True)
class LinkOptions:
    """What the links of one bus share.

    Attributes:
        publish_queue_messages: most messages that wait for the broker.
        silent_after_s: seconds without the acknowledgement that was asked for, until the connection is made anew.
    """

    publish_queue_messages: int
    silent_after_s: float


class BrokerLink:
    """A connection to one broker. Belongs to the running event loop.

    Args:
        index: names this link to the adapter.
        address: base address of the broker.
        context: where the socket is made that asks for the broker's version.
        options: what all links share.
        events: who hears of it; called on the event loop, never inside a call to this link.
    """

    def __init__(
        self, index: int, address: str, context: SyncContext, options: LinkOptions, events: LinkEvents
    ) -> None:
        self.index = index
        self.state = LinkState.CONNECTING
        self._loop = asyncio.get_running_loop()
        self._options = options
        self._events = events
        self._syncs = SyncQueue(index)
        self._hello: VersionCheck | None = None
        self._asking: asyncio.TimerHandle | None = None
        self._asked_at_s = 0.0
        self._log = LinkLog(self._loop, index, address, lambda: self.trouble)
        self._context = context
        endpoints = self._endpoints = endpoints_of(address)
        self.publisher = Publisher(
            self._loop,
            endpoints.publish,
            options.publish_queue_messages,
            ZmtpConnectionEvents(self._half_is_up, self._lost, self._log.refused),
        )
        self._subscriber = Subscriber(
            self._loop,
            endpoints.subscribe,
            on_message=partial(events.link_message, index),
            on_sync=self._acknowledged,
            on_rubbish=partial(events.link_rubbish, index),
            on_behind=partial(events.link_behind, index),
            connection=ZmtpConnectionEvents(self._half_is_up, self._subscriber_is_down, self._log.refused),
        )

    @property
    def is_connected(self) -> bool:
        """Whether there is a broker that can acknowledge."""
        return self.state is not LinkState.CONNECTING

    @property
    def is_asking(self) -> bool:
        """Whether something was subscribed to that no acknowledgement asked for yet would cover."""
        return self._syncs.waits

    def subscribe(self, topics: Iterable[bytes]) -> None:
        """Subscribe now, and after each reconnect."""
        for topic in topics:
            self._subscriber.subscribe(topic)

    def unsubscribe(self, topics: Iterable[bytes]) -> None:
        """Take subscriptions back."""
        for topic in topics:
            self._subscriber.unsubscribe(topic)

    def sync(self, barrier: SubscribeBarrier) -> None:
        """Let `barrier` hear when the broker has applied everything subscribed up to now, or is lost."""
        self._syncs.add(barrier)
        if self.is_connected:
            self._ask_if_due()
        else:
            self._syncs.lost()

    def close(self) -> FinalFlush | None:
        """Stop, and hand out what was not sent yet, if there is a connection for it."""
        self.state = LinkState.CONNECTING
        self._subscriber.close()
        self._stop_asking()
        self._stop_hello()
        self._log.close()
        self._syncs.lost()
        return self.publisher.leave()

    def _half_is_up(self) -> None:
        if self.state is LinkState.CONNECTING and self.publisher.is_up and self._subscriber.is_up:
            self.state = LinkState.SYNCING
            self._begin_asking()
            self._hello = say_hello(self._loop, self._context, self._endpoints.control)

    @property
    def trouble(self) -> str:
        """Why it is not ready; empty while it is."""
        if self.state is LinkState.SYNCING:
            return "it is connected and acknowledges no subscription"
        known = dict.fromkeys((self.publisher.trouble, self._subscriber.trouble))
        return "; ".join(filter(None, known))

    def _subscriber_is_down(self, reason: str) -> None:
        if self.publisher.is_up:
            self.publisher.reset()
        self._lost(reason)

    def _lost(self, reason: str) -> None:
        was, self.state = self.state, LinkState.CONNECTING
        self._stop_asking()
        self._stop_hello()
        self._syncs.lost()
        if was is LinkState.READY:
            self._log.lost(reason)
            self._events.link_lost(self.index)

    def _ask_if_due(self) -> None:
        if self._syncs.wants_to_ask:
            self._begin_asking()

    def _begin_asking(self) -> None:
        self._asked_at_s = self._loop.time()
        self._ask()

    def _ask(self) -> None:
        topic = make_sync_topic()
        self._syncs.asked(topic)
        self._subscriber.subscribe(topic)
        self._asking = self._loop.call_later(ASK_AGAIN_S, self._unanswered, topic)

    def _stop_asking(self) -> None:
        if self._asking is None:
            return
        self._asking.cancel()
        self._asking = None
        if self._syncs.topic is not None:
            self._subscriber.unsubscribe(self._syncs.topic)

    def _stop_hello(self) -> None:
        if self._hello is not None:
            self._hello.close()
            self._hello = None

    def _unanswered(self, topic: bytes) -> None:
        self._stop_asking()
        silent_s = self._loop.time() - self._asked_at_s
        if silent_s < self._options.silent_after_s:
            self._ask()
            return
        self._log.silent(silent_s)
        self._subscriber.reconnect()
        self._subscriber_is_down("it acknowledges no subscription")

    def _acknowledged(self, frame: bytes) -> None:
        parsed = parse_acknowledgement(frame)
        if parsed is None:
            self._events.link_rubbish(self.index, "a malformed acknowledgement")
            return
        topic, epoch = parsed
        if topic != self._syncs.topic:
            return
        self._stop_asking()
        self._syncs.acknowledged(topic)
        self._log.epoch(epoch)
        if self.state is LinkState.SYNCING:
            self.state = LinkState.READY
            self._log.ready()
            self._events.link_ready(self.index)
        self._ask_if_due()
