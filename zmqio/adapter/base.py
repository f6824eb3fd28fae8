"""The contracts of adapters; that of the bus is `zmqio.adapter.bus`.

- `Adapter`: used by a namespace, to keep its rooms and to reach the sockets in them on every node.
- `LocalSockets`: used by the adapter, to write to the sockets in this process.

An adapter serves one namespace. State that a whole process shares (the bus, the live nodes, the pending requests)
is held by the `AdapterFactory`, which makes the adapters of all namespaces.

Source: the method set is that of `socket.io-adapter` 2.5 (`addAll`, `broadcast`, `fetchSockets`, ...).
"""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Collection, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, runtime_checkable

from zmqio.exceptions import ConfigError
from zmqio.ids import NodeId, NodeTag, Sid
from zmqio.metrics.samples import Sample
from zmqio.protocol.packet import AckableFrames, Frames
from zmqio.recovery.recorder import PacketRecorder
from zmqio.tracing import Tracing

__all__ = [
    "DONE",
    "Adapter",
    "AdapterFactory",
    "BusGap",
    "Health",
    "Identity",
    "LocalSockets",
    "MemberEvents",
    "MetricsReporter",
    "NodeEvents",
    "SocketDescription",
    "TagClash",
    "Target",
    "TracedFactory",
]


class _Done:
    """A completed awaitable: needs no task, no future and no iteration of the event loop."""

    def __await__(self) -> Generator[Any, None, None]:
        return
        yield


DONE: Final[Awaitable[None]] = _Done()
"""Returned by methods that are awaitable in a cluster and have nothing to wait for here."""


@dataclass(frozen=True, slots=True)
class Identity:
    """The identity of this process in the cluster.

    Attributes:
        node_id: unique for each start of a process; begins with `tag`.
        tag: the first characters of every session id of this process.
        tag_is_configured: whether the tag was configured. On a clash a configured tag is an error; a random tag is
            drawn again.
        packet_format: the format of packets for clients, which all nodes must share; empty if unknown.
    """

    node_id: NodeId
    tag: NodeTag
    tag_is_configured: bool = False
    packet_format: str = ""


@dataclass(frozen=True, slots=True)
class TagClash:
    """Another live node has used this node's tag for longer, so this node must leave.

    Attributes:
        tag: the tag of both nodes.
        holder: node id of the other node.
        host: host name of the other node, for messages.
        pid: process id of the other node, for messages.
        tag_is_configured: whether *this* node's tag was configured; a random tag can be drawn again.
    """

    tag: NodeTag
    holder: NodeId
    host: str
    pid: int
    tag_is_configured: bool

    def __str__(self) -> str:
        return f"node tag {self.tag!r} belongs to node {self.holder} (host {self.host}, process {self.pid})"


@dataclass(frozen=True, slots=True)
class Target:
    """The sockets that an operation reaches.

    Attributes:
        rooms: members of any of these rooms; None means every socket of the namespace, empty means no socket. A
            socket in two of the rooms is reached once. Every socket is also in a room named after its sid.
        except_: members of any of these rooms are left out.
        local: reach only sockets of this process; nothing is published.
        volatile: drop the packet for a client that cannot receive it at once.
    """

    rooms: frozenset[str] | None = None
    except_: frozenset[str] = frozenset()
    local: bool = False
    volatile: bool = False

    @property
    def stays_here(self) -> bool:
        """Whether no other node can have a socket of the target."""
        return self.local or (self.rooms is not None and not self.rooms)


@dataclass(frozen=True, slots=True)
class SocketDescription:
    """A socket as other nodes see it; all values are JSON-like.

    Attributes:
        sid: the Socket.IO id.
        handshake: headers, query, auth, address, time, ... (see `zmqio.Handshake`).
        rooms: the rooms of the socket, including the room named after its sid.
        data: the application's `socket.data` at the time of the request.
        node_id: the node that owns the socket.
    """

    sid: Sid
    handshake: Mapping[str, Any]
    rooms: tuple[str, ...]
    data: Mapping[str, Any]
    node_id: NodeId


@dataclass(frozen=True, slots=True)
class Health:
    """Whether this node is connected to the others.

    Attributes:
        ready: whether this node is connected to the other nodes.
        reasons: why it is not; empty if and only if `ready` is true.
        details: states by name, and under `counters` a mapping of counters by part.
    """

    ready: bool
    reasons: tuple[str, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BusGap:
    """Messages of another node that are permanently lost to this node.

    Attributes:
        node_id: the publisher.
        first: sequence number of the first lost message, by the publisher's counter.
        last: sequence number of the last lost message, inclusive.
        messages: how many messages in the range were on this node's topics; None if unknown.
        reason: why the messages cannot be recovered, for logs.
    """

    node_id: NodeId
    first: int
    last: int
    messages: int | None
    reason: str


class LocalSockets(Protocol):
    """The sockets of one namespace in this process, as an adapter sees them. No method blocks."""

    def deliver(self, sids: Collection[Sid], frames: Frames, *, volatile: bool = False) -> None:
        """Write one encoded packet to each of `sids`; unknown ids are ignored."""

    def deliver_with_ack(
        self,
        sids: Collection[Sid],
        frames: AckableFrames,
        on_ack: Callable[[list[Any]], None],
        on_expected: Callable[[int], None],
        timeout_s: float,
    ) -> None:
        """Write a packet that asks for an acknowledgement; call `on_ack(args)` for each client that acknowledges.

        There is no call for unknown ids, nor for clients that disconnect or do not acknowledge within `timeout_s`.
        First of all, `on_expected(count)` is called with the number of clients that are asked; within `timeout_s`
        it is called again, with a lower number, when clients disconnect that have not acknowledged.
        """

    def encode(self, event: str, args: Sequence[Any]) -> Frames:
        """Encode an event of an outside service with this namespace's parser.

        Raises:
            PacketError: a value cannot be encoded.
        """

    def describe(self, sids: Collection[Sid]) -> list[SocketDescription]:
        """Describe those of `sids` that are connected."""

    def disconnect(self, sids: Collection[Sid], *, close: bool) -> None:
        """Disconnect sockets (`server namespace disconnect`); with `close`, close their connections as well."""

    def server_side_event(self, args: Sequence[Any], respond: Callable[[list[Any]], None] | None) -> None:
        """Dispatch an event of `server_side_emit` to the application, which may call `respond(args)` once."""

    def room_event(self, event: str, room: str, sid: Sid | None) -> None:
        """Report `create-room`, `delete-room`, `join-room` or `leave-room`."""


class Adapter(ABC):
    """The rooms of one namespace, and operations on the sockets in them on every node.

    Subclass `LocalAdapter` to change how this process delivers, or `ClusterAdapter` to change what nodes exchange.

    Every operation that reaches other nodes acts on local sockets first. It raises BusError if its message could
    not leave this process. Requests do not wait for a node that dies: they raise RequestTimeoutError at once,
    which names the node in `missing`.
    """

    @abstractmethod
    async def open(self) -> None:
        """Start to serve the namespace; called once, before its first socket connects."""

    @abstractmethod
    async def close(self) -> None:
        """Stop serving the namespace; its sockets have already disconnected."""

    @abstractmethod
    def add(self, sid: Sid, rooms: Collection[str]) -> Awaitable[None]:
        """Add a socket to rooms: in this process at once, for all nodes once the awaitable completes.

        Raises:
            TopicError: a room name contains a NUL; nothing was changed.
        """

    @abstractmethod
    def remove(self, sid: Sid, room: str) -> None:
        """Remove a socket from a room; does nothing if the socket is not in the room."""

    @abstractmethod
    def remove_all(self, sid: Sid) -> None:
        """Remove a disconnecting socket from all its rooms."""

    @abstractmethod
    def rooms_of(self, sid: Sid) -> Collection[str]:
        """Return the rooms of a socket of this process."""

    @abstractmethod
    def sids(self, target: Target) -> Collection[Sid]:
        """Return the sockets of this process that `target` reaches."""

    @abstractmethod
    async def broadcast(self, frames: Frames, target: Target) -> None:
        """Send one encoded packet to all sockets that `target` reaches: local ones first, then on the other nodes.

        Raises:
            BusError: the packet did not leave this process; local sockets have received it.
        """

    @abstractmethod
    async def broadcast_with_ack(self, frames: AckableFrames, target: Target, timeout_s: float) -> list[list[Any]]:
        """Send one packet and collect the acknowledgements: one list of arguments per client.

        Raises:
            RequestTimeoutError: not all clients acknowledged within `timeout_s`; it holds the acknowledgements
                that arrived.
        """

    @abstractmethod
    async def fetch_sockets(self, target: Target, timeout_s: float) -> list[SocketDescription]:
        """Describe the sockets that `target` reaches.

        Raises:
            RequestTimeoutError: a node did not respond; it holds the responses that arrived and names the node.
        """

    @abstractmethod
    async def add_sockets(self, target: Target, rooms: Collection[str]) -> None:
        """Add the sockets that `target` reaches to rooms."""

    @abstractmethod
    async def remove_sockets(self, target: Target, rooms: Collection[str]) -> None:
        """Remove the sockets that `target` reaches from rooms."""

    @abstractmethod
    async def disconnect_sockets(self, target: Target, *, close: bool) -> None:
        """Disconnect the sockets that `target` reaches; with `close`, close their connections as well."""

    @abstractmethod
    async def server_side_emit(self, args: Sequence[Any]) -> None:
        """Send an event to the application on all *other* nodes."""

    @abstractmethod
    async def server_side_emit_with_ack(self, args: Sequence[Any], timeout_s: float) -> list[list[Any]]:
        """Send an event to the application on all other nodes and collect one response from each.

        Raises:
            RequestTimeoutError: a node did not respond; it holds the responses that arrived and names the node.
        """

    @abstractmethod
    async def rooms(self, timeout_s: float) -> set[str]:
        """Return all rooms of the namespace that have a member on any node."""

    def record_packets(self, recorder: PacketRecorder) -> None:
        """Record every packet that can be recovered; called before `open`, if the server recovers sessions.

        Raises:
            ConfigError: the adapter cannot.
        """
        raise ConfigError(
            f"recovery needs LocalAdapter, ClusterAdapter or a subclass of them, not {type(self).__name__}"
        )

    def room_count(self) -> int:
        """Return the number of rooms that have a member in this process; 0 if the adapter does not count them."""
        return 0

    @abstractmethod
    def server_count(self) -> int:
        """Return the number of live nodes, including this one."""


class MemberEvents(Protocol):
    """Changes in the membership of the cluster."""

    def node_joined(self, node_id: NodeId) -> None:
        """Another node has joined."""

    def node_left(self, node_id: NodeId, reason: str) -> None:
        """Another node has left: `goodbye`, `disconnected` (it died) or `silent` (for `dead_after_s`)."""


class NodeEvents(MemberEvents, Protocol):
    """Events that a cluster reports to its server."""

    def bus_gap(self, gap: BusGap) -> None:
        """Messages of another node are lost; later messages of that node are delivered."""


@runtime_checkable
class MetricsReporter(Protocol):
    """An `AdapterFactory` that sends the metrics of this node to observers of the cluster, such as `zmqio top`."""

    def report_metrics(self, read: Callable[[], Iterable[Sample]]) -> None:
        """Report what `read` returns, from the next start on."""


@runtime_checkable
class TracedFactory(Protocol):
    """An `AdapterFactory` whose messages carry the context of traces."""

    def trace(self, tracing: Tracing) -> None:
        """Use `tracing` from the next start on."""


@runtime_checkable
class AdapterFactory(Protocol):
    """Makes the adapter of each namespace and holds the state that all of them share."""

    def __call__(self, namespace: str, sockets: LocalSockets) -> Adapter:
        """Make the adapter of one namespace."""

    async def start(self, identity: Identity, events: NodeEvents) -> None:
        """Start to communicate with other nodes; returns without waiting for a broker."""

    async def wait_for_tag_check(self, limit_s: float) -> TagClash | None:
        """Wait until it is known whether another live node uses this node's tag; called before the first session.

        Args:
            limit_s: longest time to wait for a broker; without a broker the result is None.

        Returns:
            The clash if this node must not use its tag, otherwise None.
        """

    async def close(self) -> None:
        """Say goodbye to the other nodes and stop; the factory may be started again."""

    def close_sync(self) -> None:
        """Say goodbye without an event loop: at interpreter exit, if `close` was not called."""

    def health(self) -> Health:
        """Return whether this node is connected to the others."""
