"""The link of a node to a NATS server, one at a time, of a cluster.

State       meaning                                                            leaves when
connecting  no server has accepted the login                                   a server accepts the login
syncing     connected; the servers do not have all subscriptions yet           the first barrier ends
ready       published messages arrive; every server has all subscriptions      the connection is lost

The link moves to the next server when the connection is lost, when nothing has arrived for `silent_after_s`, and
when the server announces that it stops. A change of the cluster may have cost messages between two servers, so it
is reported as `link_doubted`, at once and again when all servers of the new cluster have the subscriptions.

A server replies to a message for an inbox without a subscription: its node has probably died. If the servers do
not advertise each other, this reply is ignored, because a broken route to the node's server would not be noticed.
"""

import asyncio
import enum
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from zmqio.exceptions import ConfigError, NatsError, TopicError
from zmqio.links.link_log import LinkLog
from zmqio.links.resolver import HostResolver
from zmqio.log_limit import LogLimit
from zmqio.logger import get_logger
from zmqio.nats.addresses import NatsServer
from zmqio.nats.cluster_barrier import ClusterBarrier
from zmqio.nats.connection import NatsConnection
from zmqio.nats.inbox_check import REPLIES_SID, InboxCheck
from zmqio.nats.login import NatsLogin
from zmqio.nats.servers import ServerList
from zmqio.nats.subscriptions import NatsSubscriptions
from zmqio.protocol.nats import NatsInfo

__all__ = ["NatsLink", "NatsLinkEvents", "NatsLinkOptions", "NatsLinkState"]

log = get_logger(__name__)

LINK = 0
"""There is one link: the servers of a cluster are one bus."""
FIRST_PAUSE_S = 0.01
LONGEST_PAUSE_S = 0.1
REFUSED_PAUSE_S = 1.0
"""Seconds until the next attempt if a server has refused the login or does not suit."""
SILENT_TICKS = 5
FIXED_IN = ((2, 12, 10), (2, 14, 2))
"""Releases from which on a cluster keeps the interest of a subject that one connection leaves and another joins.
Source: github.com/nats-io/nats-server issue 8233."""
NOT_KNOWN = "connected, but the servers do not know all subscriptions yet"


class NatsLinkState(enum.Enum):
    """See the table above."""

    CONNECTING = "connecting"
    SYNCING = "syncing"
    READY = "ready"


class NatsLinkEvents(Protocol):
    """Callbacks through which the link reports to the bus, always on the event loop."""

    def link_message(self, topic: bytes, body: bytes) -> None:
        """A message was received; must not raise."""

    def link_malformed(self, reason: str) -> None:
        """A malformed message was received and dropped."""

    def link_doubted(self) -> None:
        """Messages may have been lost between servers."""

    def link_departure(self, inbox: bytes) -> None:
        """Nobody subscribes to an inbox, as far as the server knows."""

    def link_lost(self) -> None:
        """The link was ready and no longer is."""

    def link_ready(self) -> None:
        """The link has become ready."""

    def link_timed_out(self) -> None:
        """A barrier has not waited for every server."""

    def link_cluster_changed(self) -> None:
        """A server has joined or left the cluster."""

    def link_slow(self) -> None:
        """The server closes the connection because this node reads too slowly."""


@dataclass(frozen=True, slots=True)
class NatsLinkOptions:
    """Options of the link.

    Attributes:
        prefix: first part of every topic.
        name: the name of the connections in the servers' lists.
        publish_queue_messages: most messages queued for the server.
        publish_queue_bytes: most bytes of these messages.
        max_message_bytes: the server must accept payloads of this size.
        silent_after_s: seconds without data from the server until the link moves on.
        barrier_timeout_s: seconds to wait for the other servers of a cluster.
        login: at every server.
    """

    prefix: str
    name: str
    publish_queue_messages: int
    publish_queue_bytes: int
    max_message_bytes: int
    silent_after_s: float
    barrier_timeout_s: float
    login: NatsLogin = field(default_factory=NatsLogin)


class NatsLink:
    """Connects a node to one server of a cluster. Belongs to the running event loop.

    Args:
        servers: the given servers.
        options: see `NatsLinkOptions`.
        events: called on the event loop, never inside a call to this link.
        inboxes: knows the replies that show that nobody subscribes to an inbox.

    Attributes:
        state: see the table above.
        connection: to the current server; None while the link is connecting.
    """

    def __init__(
        self,
        servers: Sequence[NatsServer],
        options: NatsLinkOptions,
        events: NatsLinkEvents,
        inboxes: InboxCheck,
    ) -> None:
        self.state = NatsLinkState.CONNECTING
        self.connection: NatsConnection | None = None
        self._loop = asyncio.get_running_loop()
        self._options = options
        self._events = events
        self._inboxes = inboxes
        self._servers = ServerList(servers)
        self._resolvers: dict[str, HostResolver] = {}
        self._subscriptions = NatsSubscriptions()
        self._barrier: ClusterBarrier | None = None
        self._problem = "no server has answered yet"
        self._fault = ""
        self._fault_log_limit = LogLimit()
        self._unknown_logged = False
        self._closed = asyncio.Event()
        address = ",".join(map(str, servers))
        self._log = LinkLog(self._loop, LINK, address, lambda: "; ".join(self.problems))
        self._task = asyncio.create_task(self._run(), name=f"link {address}")

    @property
    def is_connected(self) -> bool:
        """Whether a server has accepted the login."""
        return self._barrier is not None

    @property
    def problems(self) -> list[str]:
        """Why the link is not ready, and what else is wrong; empty if all is well."""
        if self._barrier is None or self.connection is None:
            return [self._problem]
        found = [NOT_KNOWN] if self.state is NatsLinkState.SYNCING else []
        outdated = _outdated(self.connection.info)
        return [*found, *self._barrier.problems, *filter(None, (self._fault, outdated))]

    def subscribe(self, topics: Iterable[bytes]) -> None:
        """Subscribe now, and on each new connection."""
        self._send_all(self._subscriptions.add(topics))

    def unsubscribe(self, topics: Iterable[bytes]) -> None:
        """Cancel subscriptions."""
        self._send_all(self._subscriptions.remove(topics))

    def sync(self, waiter: asyncio.Future[None]) -> None:
        """Resolve `waiter` when all servers know the subscriptions, or if the connection is lost or missing."""
        if self._barrier is not None:
            self._barrier.wait(waiter)
        elif not waiter.done():
            waiter.set_result(None)

    def close(self) -> NatsConnection | None:
        """Stop, and return the connection, which is still to be closed; None if there is none."""
        connection, self.connection = self.connection, None
        if not self._loop.is_closed():
            self._task.cancel()
        self._log.close()
        self.state = NatsLinkState.CONNECTING
        self._drop_barrier()
        return connection

    # `NatsConnectionEvents`.

    def nats_message(self, sid: int, subject: bytes, payload: bytes) -> None:
        """Decode a message and pass it to the bus."""
        try:
            message = self._subscriptions.read(sid, subject, payload)
        except TopicError as error:
            self._events.link_malformed(str(error))
            return
        if message is not None:
            self._events.link_message(*message)
        elif sid == REPLIES_SID:
            self._received_reply(subject)

    def nats_info(self, info: NatsInfo) -> None:
        """Leave a server that is about to stop, and note a change of the cluster."""
        changed = self._servers.update(info.urls)
        if info.is_leaving and len(self._servers.known) > 1 and self.connection is not None:
            self.connection.close("the server is about to stop (lame duck mode)")
        elif changed and self._barrier is not None:
            self._events.link_cluster_changed()
            log.warning("nats_cluster_changed", servers=sorted(server.endpoint for server in self._servers.known))
            self._barrier.servers_changed(self._servers.known)

    def nats_pong(self) -> None:
        """Pass a PONG to the barrier."""
        if self._barrier is not None:
            self._barrier.pong()

    def nats_fault(self, text: str) -> None:
        """Note an error that the server reports."""
        if text.lower().startswith("slow consumer"):
            self._events.link_slow()
            return
        self._fault = f"the server reports: {text}"
        if times := self._fault_log_limit.record(self._loop.time()):
            hint = f"the account needs to publish and subscribe to {self._options.prefix}.>"
            log.error("nats_fault_reported", reason=text, hint=hint, times=times)

    def nats_closed(self, reason: str) -> None:
        """Report the loss. `_run` then tries the next server."""
        previous, self.state = self.state, NatsLinkState.CONNECTING
        self.connection = None
        self._problem = reason
        self._drop_barrier()
        self._closed.set()
        if previous is NatsLinkState.READY:
            self._log.lost(reason)
            self._events.link_lost()

    # Private.

    async def _run(self) -> None:
        pause_s = FIRST_PAUSE_S
        while True:
            server = self._servers.next()
            try:
                connection = await self._connect(server)
            except (OSError, NatsError, ConfigError) as error:
                self._problem = f"{server}: {getattr(error, 'strerror', None) or error}"
                if not isinstance(error, OSError):
                    self._log.refused(self._problem)
                    pause_s = REFUSED_PAUSE_S
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
            else:
                pause_s = FIRST_PAUSE_S
                self._start(connection, server)
                await self._wait_until_lost()

    async def _connect(self, server: NatsServer) -> NatsConnection:
        options = self._options
        connection = NatsConnection(
            server,
            options.login,
            options.name,
            self,
            queue_messages=options.publish_queue_messages,
            queue_bytes=options.publish_queue_bytes,
        )
        resolver = self._resolvers.setdefault(server.host, HostResolver(server.host))
        self._closed.clear()
        await connection.open(resolver)
        try:
            self._check(connection.info)
        except BaseException:
            connection.close()
            raise
        return connection

    def _check(self, info: NatsInfo) -> None:
        if info.is_leaving and len(self._servers.known) > 1:
            raise ConnectionError(None, "the server is about to stop (lame duck mode)")
        allowed, needed = info.max_payload_bytes, self._options.max_message_bytes
        if allowed < needed:
            raise NatsError(
                f"the server accepts payloads of {allowed} bytes, and max_message_bytes is {needed}; "
                "raise `max_payload` of the server, or lower `max_message_bytes` on every node"
            )

    def _start(self, connection: NatsConnection, server: NatsServer) -> None:
        """Send the subscriptions; the link becomes ready when every server has them."""
        options = self._options
        self.connection = connection
        self.state = NatsLinkState.SYNCING
        self._fault = ""
        self._servers.update(connection.info.urls)
        self._log_cluster_problems(connection.info)
        connection.write(self._inboxes.subscribe + b"".join(self._subscriptions.commands()))
        self._barrier = ClusterBarrier(
            connection,
            options.prefix,
            options.login,
            options.name,
            timeout_s=options.barrier_timeout_s,
            on_doubt=self._doubt,
            on_timeout=self._events.link_timed_out,
        )
        self._barrier.set_servers(self._servers.known - {server})
        first: asyncio.Future[None] = self._loop.create_future()
        first.add_done_callback(partial(self._ready, connection, server))
        self._barrier.wait(first)

    def _ready(self, connection: NatsConnection, server: NatsServer, _: "asyncio.Future[None]") -> None:
        if self.connection is connection and self.state is NatsLinkState.SYNCING:
            self.state = NatsLinkState.READY
            self._log.ready(server=server.endpoint)
            self._events.link_ready()

    async def _wait_until_lost(self) -> None:
        """Wait until the connection is lost. Abort it when the server is silent for too long."""
        tick_s = self._options.silent_after_s / SILENT_TICKS
        silent_ticks = 0
        while not self._closed.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(tick_s):
                    await self._closed.wait()
                    return
            if self.connection is None or self._barrier is None:
                continue
            silent_ticks = 0 if self.connection.has_received else silent_ticks + 1
            self.connection.has_received = False
            if silent_ticks >= SILENT_TICKS:
                self._log.timed_out(silent_ticks * tick_s)
                self.connection.abort(f"the server has sent nothing for {silent_ticks * tick_s:.1f} s")
            else:
                self._barrier.ping()

    def _send_all(self, commands: Sequence[bytes]) -> None:
        if self.connection is not None and commands:
            self.connection.write(b"".join(commands))

    def _received_reply(self, subject: bytes) -> None:
        if self.connection is None or self.state is not NatsLinkState.READY:
            return
        info = self.connection.info
        if info.urls or not info.cluster:
            self._events.link_departure(self._inboxes.inbox_of(subject))

    def _doubt(self) -> None:
        if self.state is NatsLinkState.READY:
            self._events.link_doubted()

    def _drop_barrier(self) -> None:
        barrier, self._barrier = self._barrier, None
        if barrier is not None:
            barrier.close()

    def _log_cluster_problems(self, info: NatsInfo) -> None:
        if outdated := _outdated(info):
            log.warning("nats_version_outdated", version=".".join(map(str, info.version)), reason=outdated)
        if info.cluster and not info.urls and not self._unknown_logged:
            self._unknown_logged = True
            hint = "name every server of the cluster in the address: the servers do not advertise each other"
            log.warning("nats_servers_unadvertised", cluster=info.cluster, hint=hint)


def _outdated(info: NatsInfo) -> str:
    """Return what is wrong with the release of a server in a cluster; empty if nothing is."""
    version = info.version
    if not info.cluster or not version or version >= FIXED_IN[1] or FIXED_IN[0] <= version < (2, 13):
        return ""
    return (
        f"NATS {'.'.join(map(str, version))} may lose a subscription in a cluster for good (nats-server issue "
        "8233); run 2.12.10, 2.14.2 or newer"
    )
