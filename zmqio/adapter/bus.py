"""The contracts between a cluster and its bus, which publishes and subscribes. They name neither ZeroMQ nor NATS.

- `Bus`: used by the cluster, to publish and subscribe.
- `BusEvents`: used by the bus, to report to the cluster.
"""

from collections.abc import Awaitable, Collection, Iterable, Mapping, Sequence
from typing import Protocol

__all__ = ["Bus", "BusEvents"]


class BusEvents(Protocol):
    """Events that a bus reports: always on the event loop, never from within a call to the bus.

    A link is the connection to one broker; `link` is the index of the broker.
    """

    def message_received(self, link: int, topic: bytes, body: bytes) -> None:
        """A message arrived through `link`. Must not raise."""

    def inbox_departed(self, link: int, topic: bytes) -> None:
        """The broker of `link` knows no subscription to an inbox: its node has died, or reconnects.

        Some brokers report it by themselves, others only after a message to that inbox.
        """

    def link_lost(self, link: int) -> None:
        """A link lost its connection, or the broker did not apply subscriptions in time: messages may be missing.

        Messages may still arrive through the link, and messages published on it may still reach other nodes.
        """

    def link_connected(self, link: int) -> None:
        """A broker is connected and has applied every subscription of this node.

        Messages published before this call may be lost. Messages published during it are sent first.
        """

    def link_writable(self, link: int) -> None:
        """A link that accepted no messages may accept some again.

        To try, publish on this link alone during this call.
        """

    def link_doubted(self, link: int) -> None:
        """Messages may have been lost on their way to this node, or may be lost from now on.

        Earlier calls of `inbox_departed` may have been wrong.
        """

    def link_overrun(self, link: int) -> None:
        """Messages arrived without a pause, so the broker's queue to this node may overflow and drop messages."""


class Bus(Protocol):
    """Publish and subscribe between nodes. Topics match by prefix. A link that is not connected drops messages.

    Each link delivers a node's messages to every other node in order, exactly once and without gaps, unless one of
    the two nodes reports `link_lost`, `link_connected`, `link_writable`, `link_doubted` or
    `link_overrun`.
    """

    @property
    def brokers(self) -> str:
        """The addresses of the brokers, for messages."""

    @property
    def connected_links(self) -> Collection[int]:
        """The links whose broker is connected and has applied every subscription."""

    @property
    def problems(self) -> Sequence[str]:
        """The reason why each other link is not connected, for messages."""

    @property
    def counters(self) -> Mapping[str, int]:
        """Messages dropped and failures since the start, by name."""

    async def start(self, events: BusEvents) -> None:
        """Start to connect; returns without waiting for a broker."""

    def publish(self, topic: bytes, body: bytes, *, link: int | None = None) -> int:
        """Queue a message on every link that accepts messages, or only on `link`; own subscriptions get it too.

        Returns:
            The number of links that accepted the message: 0 if no broker is connected, or if all queues are full.
            A link whose queue was full accepts nothing until `link_writable` is called. The first message after
            that must be published during the call, on that link alone.

        Raises:
            MessageTooLargeError: topic and body exceed the limit.
        """

    def subscribe(self, topics: Iterable[bytes]) -> Awaitable[None]:
        """Subscribe at once; the awaitable completes when the brokers have applied it (the subscribe barrier).

        While no broker is connected, it completes at once; the subscription is applied on connecting. It never
        fails.
        """

    def unsubscribe(self, topics: Iterable[bytes]) -> None:
        """Cancel subscriptions."""

    async def close(self) -> None:
        """Send the queued messages, within a time limit, and stop."""

    def close_sync(self) -> None:
        """Do the same as `close`, without an event loop."""
