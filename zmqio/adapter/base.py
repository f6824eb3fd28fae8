"""The contracts of the adapter layer, to be read together.

- `Adapter`       namespace -> here: who is in which room, and reach them on every node
- `LocalSockets`  here -> namespace: the sockets of one namespace in this process
- `Bus`           here -> transport: topics to and from the other nodes; names nothing of ZeroMQ
- `BusEvents`     transport -> here: what a bus reports

An adapter serves one namespace. What a whole process shares (the way to the broker, who lives, whose answers
are awaited) is held by the `AdapterFactory` that makes the adapters of all namespaces.

Source: the method set is that of `socket.io-adapter` 2.5 (`addAll`, `broadcast`, `fetchSockets`, ...).
"""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Collection, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, runtime_checkable

from zmqio.ids import NodeId, NodeTag, Sid
from zmqio.protocol.packet import AckableFrames, Frames

__all__ = [
    "DONE",
    "Adapter",
    "AdapterFactory",
    "Bus",
    "BusEvents",
    "BusGap",
    "Health",
    "Identity",
    "LocalSockets",
    "MemberEvents",
    "NodeEvents",
    "SocketDescription",
    "TagClash",
    "Target",
]


class _Done:
    """An awaitable that is done: costs no task, no future, no turn of the loop."""

    def __await__(self) -> Generator[Any, None, None]:
        return
        yield


DONE: Final[Awaitable[None]] = _Done()


@dataclass(frozen=True, slots=True)
class Identity:
    """This run of this process.

    Attributes:
        node_id: unique for each process start; begins with `tag`.
        tag: first characters of every session id made here.
        tag_is_configured: a configured tag that clashes is an error; a random one is drawn again.
    """

    node_id: NodeId
    tag: NodeTag
    tag_is_configured: bool = False


@dataclass(frozen=True, slots=True)
class TagClash:
    """Another live node holds this node's tag, and has held it for longer: this one has to go.

    Attributes:
        tag: the tag of both.
        holder: the other node.
        host: where it runs, for people to read.
        pid: its process, for people to read.
        tag_is_configured: whether *this* node's tag was configured; a random one can be drawn again.
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
    """Whom an operation reaches.

    Attributes:
        rooms: members of any of these; empty means every socket of the namespace. A socket in two of the
            rooms is reached once. A sid is the name of the room that its socket is always in.
        except_: but no member of any of these.
        local: only sockets of this process; nothing is published.
        volatile: a client that cannot take it now does not get it at all.
    """

    rooms: frozenset[str] = frozenset()
    except_: frozenset[str] = frozenset()
    local: bool = False
    volatile: bool = False


@dataclass(frozen=True, slots=True)
class SocketDescription:
    """What other nodes may know of a socket: JSON-like values only.

    Attributes:
        sid: its Socket.IO id.
        handshake: headers, query, auth, address, time, ... (see `zmqio.Handshake`).
        rooms: the rooms it is in, its own among them.
        data: the application's own `socket.data`, as it was when asked.
        node_id: the node that owns it.
    """

    sid: Sid
    handshake: Mapping[str, Any]
    rooms: tuple[str, ...]
    data: Mapping[str, Any]
    node_id: NodeId


@dataclass(frozen=True, slots=True)
class Health:
    """Whether this node hears the others; `reasons` is empty exactly when `ready`."""

    ready: bool
    reasons: tuple[str, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BusGap:
    """Messages of another node that this node will not get any more.

    Attributes:
        node_id: the publisher.
        first: the first lost one, by the publisher's own counter.
        last: the last one; the range includes both.
        messages: how many of the range concerned this node's topics; None if that cannot be known.
        reason: why they cannot be had any more, for people to read.
    """

    node_id: NodeId
    first: int
    last: int
    messages: int | None
    reason: str


class LocalSockets(Protocol):
    """The sockets of one namespace in this process, as far as an adapter needs them. Nothing here blocks."""

    def deliver(self, sids: Collection[Sid], frames: Frames, *, volatile: bool = False) -> None:
        """Write one encoded packet to each of `sids`; unknown ids are passed over."""

    def deliver_with_ack(
        self, sids: Collection[Sid], frames: AckableFrames, answered: Callable[[list[Any]], None], timeout_s: float
    ) -> None:
        """Write a packet that asks for an acknowledgement; `answered(args)` is called once a client answers.

        Unknown ids, and clients that go or stay silent for `timeout_s`, simply never answer.
        """

    def encode(self, event: str, args: Sequence[Any]) -> Frames:
        """Encode an event that came from an outside service, with this namespace's parser.

        Raises:
            PacketError: the values cannot be encoded.
        """

    def describe(self, sids: Collection[Sid]) -> list[SocketDescription]:
        """Describe those of `sids` that are here."""

    def disconnect(self, sids: Collection[Sid], *, close: bool) -> None:
        """Disconnect sockets (`server namespace disconnect`); with `close` their whole connections."""

    def server_side_event(self, args: Sequence[Any], respond: Callable[[list[Any]], None] | None) -> None:
        """Hand an event from `server_side_emit` to the application; `respond(args)` answers it once."""

    def room_event(self, event: str, room: str, sid: Sid | None) -> None:
        """Report `create-room`, `delete-room`, `join-room` or `leave-room`."""


class Adapter(ABC):
    """Rooms of one namespace, and the way to the sockets in them on every node.

    Subclass `LocalAdapter` to change how this process delivers, or `ClusterAdapter` to change how nodes talk.

    Whatever reaches other nodes does its work here first and raises BusError if it did not leave this process.
    Questions do not wait for a node that dies: RequestTimeoutError names it in `missing` at once.
    """

    @abstractmethod
    async def open(self) -> None:
        """Begin to serve the namespace; called once, before its first socket."""

    @abstractmethod
    async def close(self) -> None:
        """Stop serving the namespace; its sockets are gone already."""

    @abstractmethod
    def add(self, sid: Sid, rooms: Collection[str]) -> Awaitable[None]:
        """Put a socket in rooms. It is in them at once *here*; when the awaitable is done, also for all nodes.

        Raises:
            TopicError: a room name has a NUL in it (before anything has changed).
        """

    @abstractmethod
    def remove(self, sid: Sid, room: str) -> None:
        """Take a socket out of a room; nothing happens when it is not in it."""

    @abstractmethod
    def remove_all(self, sid: Sid) -> None:
        """Take a socket that disconnects out of all its rooms."""

    @abstractmethod
    def rooms_of(self, sid: Sid) -> Collection[str]:
        """The rooms of a socket of this process."""

    @abstractmethod
    def sids(self, target: Target) -> Collection[Sid]:
        """The sockets of this process that `target` reaches."""

    @abstractmethod
    async def broadcast(self, frames: Frames, target: Target) -> None:
        """Send one encoded packet to all sockets that `target` reaches, here first, then on the other nodes.

        Raises:
            BusError: it did not leave this process; local sockets have it all the same.
        """

    @abstractmethod
    async def broadcast_with_ack(self, frames: AckableFrames, target: Target, timeout_s: float) -> list[list[Any]]:
        """Send one packet and gather what the clients answer; one list of arguments a client.

        Raises:
            RequestTimeoutError: not all clients answered in `timeout_s`; it keeps the answers that came.
        """

    @abstractmethod
    async def fetch_sockets(self, target: Target, timeout_s: float) -> list[SocketDescription]:
        """Describe the sockets that `target` reaches.

        Raises:
            RequestTimeoutError: a live node did not answer; it keeps the answers that came and names the node.
        """

    @abstractmethod
    async def add_sockets(self, target: Target, rooms: Collection[str]) -> None:
        """Put the sockets that `target` reaches in rooms."""

    @abstractmethod
    async def remove_sockets(self, target: Target, rooms: Collection[str]) -> None:
        """Take the sockets that `target` reaches out of rooms."""

    @abstractmethod
    async def disconnect_sockets(self, target: Target, *, close: bool) -> None:
        """Disconnect the sockets that `target` reaches; with `close` their whole connections."""

    @abstractmethod
    async def server_side_emit(self, args: Sequence[Any]) -> None:
        """Send an event to the application on all *other* nodes."""

    @abstractmethod
    async def server_side_emit_with_ack(self, args: Sequence[Any], timeout_s: float) -> list[list[Any]]:
        """Send an event to the application on all other nodes and gather one answer of each.

        Raises:
            RequestTimeoutError: a live node did not answer; it keeps the answers that came and names the node.
        """

    @abstractmethod
    async def rooms(self, timeout_s: float) -> set[str]:
        """All rooms of the namespace that have a member on any node."""

    @abstractmethod
    def server_count(self) -> int:
        """How many live nodes there are, this one included."""


class MemberEvents(Protocol):
    """Who comes and goes."""

    def node_joined(self, node_id: NodeId) -> None:
        """Another node is there."""

    def node_left(self, node_id: NodeId, reason: str) -> None:
        """Another node is gone: `goodbye`, or `silent` after `dead_after_s`."""


class NodeEvents(MemberEvents, Protocol):
    """What a cluster reports to the server that runs on it."""

    def bus_gap(self, gap: BusGap) -> None:
        """Messages of another node are lost to this one; what comes after them is delivered."""


@runtime_checkable
class AdapterFactory(Protocol):
    """Makes the adapter of each namespace and holds what they share."""

    def __call__(self, namespace: str, sockets: LocalSockets) -> Adapter:
        """Make the adapter of one namespace."""

    async def start(self, identity: Identity, events: NodeEvents) -> None:
        """Begin to talk to other nodes; returns without waiting for a broker."""

    async def wait_for_tag_check(self, limit_s: float) -> TagClash | None:
        """Wait until it is known whether another live node holds this node's tag; called before any id is made.

        Args:
            limit_s: longest time to wait for a broker; without one nothing is known, and None is returned.
        """

    async def close(self) -> None:
        """Say goodbye and stop; it may be started again."""

    def close_sync(self) -> None:
        """Say goodbye without an event loop: at interpreter exit, when nobody called `close`."""

    def health(self) -> Health:
        """Whether this node hears the others."""


class BusEvents(Protocol):
    """What a bus reports; always called on the event loop, never inside a call to the bus."""

    def message_received(self, link: int, topic: bytes, body: bytes) -> None:
        """A message came; `link` is the index of the broker that it came through. Must not raise."""

    def link_lost(self, link: int) -> None:
        """The connection to a broker is gone, or it does not apply subscriptions in time: by this link not all
        comes. (Messages may still come by it, and others may still get what is published.)
        """

    def link_connected(self, link: int) -> None:
        """A broker is connected and has applied every subscription of this node. What was published before, on any
        connection to it, may be lost; what is published from within this call comes first.
        """

    def link_writable(self, link: int) -> None:
        """A broker that did not take messages may take some again; it is tried with what is published by this one
        link from within this call.
        """

    def link_overrun(self, link: int) -> None:
        """So much came without a pause that the broker may have dropped messages to this node, from now on."""


class Bus(Protocol):
    """Topics to and from other nodes. Topics match by prefix; what is not connected loses what is published.

    What one node publishes by one link reaches another by that link in order, without a hole, and once, as long as
    neither's `lost`, `back`, `resumed` or `behind` says otherwise.
    """

    @property
    def brokers(self) -> str:
        """The brokers' addresses, for people to read."""

    @property
    def connected_links(self) -> Collection[int]:
        """Indexes of the brokers that are connected and have applied every subscription."""

    @property
    def problems(self) -> Sequence[str]:
        """Of each broker that is not, why, for people to read."""

    @property
    def counters(self) -> Mapping[str, int]:
        """What the bus dropped or failed at since its start, by name."""

    async def start(self, events: BusEvents) -> None:
        """Begin to connect; returns without waiting for a broker."""

    def publish(self, topic: bytes, body: bytes, *, link: int | None = None) -> int:
        """Queue one message on every link that takes messages, or on one. Own subscriptions get it too.

        Returns:
            On how many: 0 while no broker is connected, or all their queues are full. A link whose queue was full
            gets nothing more until one has been taken that was published by it alone in answer to `resumed`.

        Raises:
            MessageTooLargeError: topic and body are over the limit.
        """

    def subscribe(self, topics: Iterable[bytes]) -> Awaitable[None]:
        """Subscribe at once; the awaitable is done when the brokers have applied it (the subscribe barrier).

        While no broker is connected it is done at once, and applied when one comes. It never fails.
        """

    def unsubscribe(self, topics: Iterable[bytes]) -> None:
        """Take subscriptions back."""

    async def close(self) -> None:
        """Send what is queued (bounded in time) and stop."""

    def close_sync(self) -> None:
        """Send what is queued (bounded in time) and stop, without an event loop."""
