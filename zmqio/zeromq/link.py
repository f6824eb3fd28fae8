"""The link of a node to one broker: a publisher and a subscriber, and whether both are usable.

State       meaning                                                            leaves when
connecting  the publisher or the subscriber is not connected                   both are connected
syncing     both are connected; the broker is applying the subscriptions       it acknowledges, or either is lost
ready       published messages arrive and all subscriptions are applied        either is lost

A broker that does not acknowledge within a second is asked again (a full queue may have dropped its response).
After `silent_after_s` without an acknowledgement, the link reconnects. Neither time includes the one in which the
request waits behind earlier subscriptions.
"""

import asyncio
import enum
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from zmqio.links.link_log import LinkLog
from zmqio.links.resolver import HostResolver
from zmqio.protocol.mechanism import MakeMechanism, NullMechanism
from zmqio.protocol.topic import departed_inbox
from zmqio.zeromq.connection import ZmtpConnectionEvents, ZmtpPeer
from zmqio.zeromq.endpoints import endpoints_of
from zmqio.zeromq.final_flush import FinalFlush
from zmqio.zeromq.publisher import Publisher
from zmqio.zeromq.subscribe_barrier import SubscribeBarrier, SyncQueue, make_sync_topic, parse_acknowledgement
from zmqio.zeromq.subscriber import Subscriber
from zmqio.zeromq.version_check import VersionCheck

__all__ = ["BrokerLink", "LinkEvents", "LinkOptions", "LinkState"]

ASK_AGAIN_S = 1.0
NOT_ACKNOWLEDGED = "connected, but the broker has not acknowledged the subscriptions"


class LinkState(enum.Enum):
    """See the table above."""

    CONNECTING = "connecting"
    SYNCING = "syncing"
    READY = "ready"


class LinkEvents(Protocol):
    """Callbacks through which a link reports to the bus."""

    def link_message(self, link: int, topic: bytes, body: bytes) -> None:
        """A message was received; must not raise."""

    def link_malformed(self, link: int, reason: str) -> None:
        """A malformed message was received and dropped."""

    def link_departure(self, link: int, inbox: bytes) -> None:
        """The broker reports that nobody subscribes to an inbox any longer."""

    def link_overrun(self, link: int) -> None:
        """Messages are not being read in time: the broker may drop some from now on."""

    def link_lost(self, link: int) -> None:
        """The link was ready and no longer is."""

    def link_ready(self, link: int) -> None:
        """The link has become ready."""


@dataclass(frozen=True, slots=True)
class LinkOptions:
    """Options common to all links of a bus.

    Attributes:
        publish_queue_messages: most messages queued for the broker.
        publish_queue_bytes: most bytes of these messages.
        silent_after_s: seconds to wait for a requested acknowledgement before reconnecting.
        mechanism: makes the security mechanism of each connection.
    """

    publish_queue_messages: int
    publish_queue_bytes: int
    silent_after_s: float
    mechanism: MakeMechanism = NullMechanism


class BrokerLink:
    """Connects a node to one broker. Belongs to the running event loop.

    Args:
        index: identifies this link in calls of `events`.
        address: base address of the broker.
        options: common to all links of the bus.
        events: called on the event loop, never inside a call to this link.
    """

    def __init__(self, index: int, address: str, options: LinkOptions, events: LinkEvents) -> None:
        self.index = index
        self.state = LinkState.CONNECTING
        self._loop = asyncio.get_running_loop()
        self._options = options
        self._events = events
        self._syncs = SyncQueue(index)
        self._version_check: VersionCheck | None = None
        self._max_topic_bytes: int | None = None
        self._sync_timer: asyncio.TimerHandle | None = None
        self._syncing_since_s = 0.0
        self._log = LinkLog(self._loop, index, address, lambda: self.problem)
        self._endpoints = endpoints_of(address)
        self._resolver = HostResolver(self._endpoints.host)
        self.publisher = Publisher(
            self._loop,
            self._peer(self._endpoints.publish),
            options.publish_queue_messages,
            options.publish_queue_bytes,
            ZmtpConnectionEvents(self._connected, self._lost, self._log.refused),
        )
        self._subscriber = Subscriber(
            self._loop,
            self._peer(self._endpoints.subscribe),
            on_message=partial(events.link_message, index),
            on_notice=self._noticed,
            on_malformed=partial(events.link_malformed, index),
            on_overrun=partial(events.link_overrun, index),
            events=ZmtpConnectionEvents(self._connected, self._subscriber_lost, self._log.refused),
        )

    @property
    def is_connected(self) -> bool:
        """Whether the broker can acknowledge subscriptions."""
        return self.state is not LinkState.CONNECTING

    @property
    def has_unrequested_syncs(self) -> bool:
        """Whether a barrier was added that no acknowledgement requested so far will cover."""
        return self._syncs.has_waiting

    @property
    def problem(self) -> str:
        """The reason why the link is not ready; empty while it is."""
        problems = [self.publisher.problem, self._subscriber.problem, self._excess]
        if self.state is LinkState.SYNCING:
            problems.insert(0, NOT_ACKNOWLEDGED)
        return "; ".join(filter(None, dict.fromkeys(problems)))

    @property
    def _excess(self) -> str:
        """The reason why the broker disconnects this node; empty unless it has too many topics."""
        limit, size = self._max_topic_bytes, self._subscriber.topic_bytes
        if limit is None or size <= limit:
            return ""
        return (
            f"this node subscribes to {self._subscriber.topics} topics of {size} bytes, and the broker accepts "
            f"{limit} bytes of all nodes together; raise its option --subscription-bytes"
        )

    def subscribe(self, topics: Iterable[bytes]) -> None:
        """Subscribe now, and after each reconnection."""
        for topic in topics:
            self._subscriber.subscribe(topic)

    def unsubscribe(self, topics: Iterable[bytes]) -> None:
        """Revoke subscriptions."""
        for topic in topics:
            self._subscriber.unsubscribe(topic)

    def sync(self, barrier: SubscribeBarrier) -> None:
        """Notify `barrier` when the broker has applied all subscriptions made so far, or is lost."""
        self._syncs.add(barrier)
        if self.is_connected:
            self._request_sync_if_due()
        else:
            self._syncs.lost()

    def close(self) -> FinalFlush | None:
        """Close, and return what has not been sent yet; None if the publisher is not connected."""
        self.state = LinkState.CONNECTING
        self._subscriber.close()
        self._stop_sync()
        if self._version_check is not None:
            self._version_check.close()
        self._log.close()
        self._syncs.lost()
        return self.publisher.detach()

    def _peer(self, endpoint: str) -> ZmtpPeer:
        return ZmtpPeer(endpoint, self._resolver, self._options.mechanism)

    def _connected(self) -> None:
        if self.state is LinkState.CONNECTING and self.publisher.is_up and self._subscriber.is_up:
            self.state = LinkState.SYNCING
            self._start_sync()
            self._check_version()

    def _check_version(self) -> None:
        """Request version and limit, unless a request is open: the broker may drop this node before its answer."""
        if self._version_check is None or self._version_check.is_answered:
            self._version_check = VersionCheck(self._loop, self._peer(self._endpoints.control), self._limited)

    def _limited(self, max_subscription_bytes: int, max_topic_bytes: int) -> None:
        self._subscriber.set_limit(max_subscription_bytes)
        self._max_topic_bytes = max_topic_bytes

    def _subscriber_lost(self, reason: str) -> None:
        if self.publisher.is_up:
            self.publisher.restart()
        self._lost(reason)

    def _lost(self, reason: str) -> None:
        previous, self.state = self.state, LinkState.CONNECTING
        self._stop_sync()
        self._syncs.lost()
        if previous is LinkState.READY:
            self._log.lost("; ".join(filter(None, (reason, self._excess))))
            self._events.link_lost(self.index)

    def _request_sync_if_due(self) -> None:
        if self._syncs.is_due:
            self._start_sync()

    def _start_sync(self) -> None:
        self._syncing_since_s = self._loop.time()
        self._request_sync()

    def _request_sync(self) -> None:
        topic = make_sync_topic()
        self._syncs.requested(topic)
        self._subscriber.subscribe(topic)
        self._sync_timer = self._loop.call_later(ASK_AGAIN_S, self._sync_unanswered)

    def _stop_sync(self) -> None:
        if self._sync_timer is None:
            return
        self._sync_timer.cancel()
        self._sync_timer = None
        if self._syncs.topic is not None:
            self._subscriber.unsubscribe(self._syncs.topic)

    def _sync_unanswered(self) -> None:
        if self._syncs.topic is not None and self._subscriber.is_unsent(self._syncs.topic):
            self._syncing_since_s = self._loop.time()
            self._sync_timer = self._loop.call_later(ASK_AGAIN_S, self._sync_unanswered)
            return
        self._stop_sync()
        silent_s = self._loop.time() - self._syncing_since_s
        if silent_s < self._options.silent_after_s:
            self._request_sync()
            return
        self._log.timed_out(silent_s)
        self._subscriber.restart()
        self._subscriber_lost(f"the broker has not acknowledged the subscriptions for {silent_s:.1f} s")

    def _noticed(self, frame: bytes) -> None:
        inbox = departed_inbox(frame)
        if inbox is None:
            self._acknowledged(frame)
        else:
            self._events.link_departure(self.index, inbox)

    def _acknowledged(self, frame: bytes) -> None:
        parsed = parse_acknowledgement(frame)
        if parsed is None:
            self._events.link_malformed(self.index, "malformed acknowledgement")
            return
        topic, epoch = parsed
        if topic != self._syncs.topic:
            return
        self._stop_sync()
        self._syncs.acknowledged(topic)
        self._log.epoch(epoch)
        if self.state is LinkState.SYNCING:
            self.state = LinkState.READY
            self._log.ready()
            self._events.link_ready(self.index)
        self._request_sync_if_due()
