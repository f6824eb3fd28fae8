"""The messages between nodes: one frozen dataclass per message type, and the id that every message carries.

Those of the relay are in `zmqio.protocol.relay_messages`, those of connection state recovery in
`zmqio.protocol.recovery_messages`; the wire format is in `zmqio.protocol.envelope`.
Fields are encoded in the order in which they are declared, so a new field may only be added at the end.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple, TypeAlias

from zmqio.ids import NodeId
from zmqio.protocol.packet import AckableFrames, Frames
from zmqio.protocol.recovery_messages import RecoveryMessage
from zmqio.protocol.relay_messages import RelayMessage

__all__ = [
    "AckCount",
    "AckResponse",
    "AckedBroadcast",
    "BroadcastMessage",
    "DisconnectSockets",
    "Envelope",
    "FetchMetrics",
    "FetchRooms",
    "FetchSockets",
    "Goodbye",
    "Heartbeat",
    "JoinRooms",
    "LeaveRooms",
    "LostRow",
    "Message",
    "MessageId",
    "MessageType",
    "ReplayAnswer",
    "ReplayRequest",
    "ReplayedRow",
    "Response",
    "ServerSideEmit",
    "TopicRow",
    "TracedBroadcast",
    "TracedServerSideEmit",
]


class MessageType(IntEnum):
    """Message types by their number on the wire. A number is never changed and never reused."""

    HEARTBEAT = 1
    GOODBYE = 2
    BROADCAST = 3
    ACKED_BROADCAST = 4
    JOIN_ROOMS = 5
    LEAVE_ROOMS = 6
    DISCONNECT_SOCKETS = 7
    SERVER_SIDE_EMIT = 8
    FETCH_SOCKETS = 9
    FETCH_ROOMS = 10
    RESPONSE = 11
    ACK_COUNT = 12
    ACK_RESPONSE = 13
    REPLAY_REQUEST = 14
    REPLAY_ANSWER = 15
    SESSION_REQUEST = 16
    MISSED_PACKETS_REQUEST = 17
    SESSION_HANDOVER = 18
    SESSION_COPIES = 19
    HTTP_REQUEST = 20
    HTTP_RESPONSE = 21
    HTTP_CANCEL = 22
    STREAM_OPEN = 23
    STREAM_ACCEPT = 24
    STREAM_REFUSE = 25
    STREAM_DATA = 26
    STREAM_CREDIT = 27
    STREAM_CLOSE = 28
    HTTP_DELIVERED = 29
    FETCH_METRICS = 30


# Every message creates one MessageId and one Envelope; tuples cost half as much as frozen dataclasses.
class MessageId(NamedTuple):
    """The sender of a message, and its sequence number.

    Attributes:
        node_id: the sender; 1 to 64 characters.
        n: the sequence number: one counter per run of a node, for all topics. An unsequenced message carries the
            current value of the counter.
        previous: n of the sender's previous message on the same topic, 0 if there was none. None marks an
            unsequenced message (such as a heartbeat): it is not counted and never replayed.
    """

    node_id: NodeId
    n: int
    previous: int | None = None


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """The sender is alive.

    Attributes:
        hello: whether this is the sender's first heartbeat, or requests a heartbeat in return at once.
        started_at: start time of the process, in Unix seconds.
        tag_is_configured: see `zmqio.adapter.base.Identity`.
        host: host name, for messages.
        pid: process id, for messages, and for nodes on the same `machine`.
        generation: how many times the sender's link to this broker was connected, or its queue was full. A new
            value means that earlier messages on this link may be lost; it is sent before any other message on the
            link.
        machine: the same for all processes that see each other's process ids; empty if unknown.
        packet_format: see `zmqio.adapter.base.Identity`.
        keeps_sessions: whether the sender keeps the sessions of other nodes that stop or die.
    """

    hello: bool
    started_at: float
    tag_is_configured: bool
    host: str
    pid: int
    generation: int
    machine: str = ""
    packet_format: str = ""
    keeps_sessions: bool = False


@dataclass(frozen=True, slots=True)
class Goodbye:
    """The sender leaves the cluster; `reason` is for logs."""

    reason: str


@dataclass(slots=True)  # not frozen: each emit makes one, and each reception; freezing takes 2 us
class BroadcastMessage:
    """An encoded packet for the sockets of a namespace that `rooms` and `except_` select.

    The fields `namespace`, `rooms` and `except_` have the same meaning in every message that has them.

    Attributes:
        namespace: the namespace.
        rooms: members of any of these rooms; empty for all sockets.
        except_: members of any of these rooms are left out.
        volatile: drop the packet for a client that cannot receive it at once.
        frames: the packet as encoded by the parser; opaque to nodes.
    """

    namespace: str
    rooms: tuple[str, ...]
    except_: tuple[str, ...]
    volatile: bool
    frames: Frames


@dataclass(slots=True)
class TracedBroadcast(BroadcastMessage):
    """A `BroadcastMessage` that was sent inside a trace; `traceparent` is its last field on the wire.

    Releases that do not know the field ignore it. Source: W3C Trace Context, section 3.2.
    """

    traceparent: str


@dataclass(frozen=True, slots=True)
class AckedBroadcast:
    """A packet that asks each client for an acknowledgement.

    Each node reports to the sender's inbox how many clients it asks (`AckCount`), then sends each acknowledgement
    (`AckResponse`).

    Attributes:
        request_id: unique per sender; responses carry it.
        namespace: see `BroadcastMessage`.
        rooms: see `BroadcastMessage`.
        except_: see `BroadcastMessage`.
        timeout_s: seconds after which the sender ignores acknowledgements.
        frames: the packet; each node fills in its own ack ids.
    """

    request_id: int
    namespace: str
    rooms: tuple[str, ...]
    except_: tuple[str, ...]
    timeout_s: float
    frames: AckableFrames


@dataclass(frozen=True, slots=True)
class JoinRooms:
    """Add the selected sockets to the rooms `names`."""

    namespace: str
    rooms: tuple[str, ...]
    except_: tuple[str, ...]
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LeaveRooms:
    """Remove the selected sockets from the rooms `names`."""

    namespace: str
    rooms: tuple[str, ...]
    except_: tuple[str, ...]
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DisconnectSockets:
    """Disconnect the selected sockets; with `close`, close their connections as well."""

    namespace: str
    rooms: tuple[str, ...]
    except_: tuple[str, ...]
    close: bool


@dataclass(frozen=True, slots=True)
class ServerSideEmit:
    """An event for the application on the other nodes.

    Attributes:
        namespace: the namespace of the event.
        args: event name and arguments, packed by `pack_values`.
        request_id: requests one `Response` from each node; None requests no response.
    """

    namespace: str
    args: bytes
    request_id: int | None


@dataclass(frozen=True, slots=True)
class TracedServerSideEmit(ServerSideEmit):
    """A `ServerSideEmit` that was sent inside a trace; see `TracedBroadcast`."""

    traceparent: str


@dataclass(frozen=True, slots=True)
class FetchSockets:
    """Request descriptions of the selected sockets, in `Response` messages to the sender's inbox."""

    request_id: int
    namespace: str
    rooms: tuple[str, ...]
    except_: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FetchRooms:
    """Request the rooms that have a member, in `Response` messages to the sender's inbox."""

    request_id: int
    namespace: str


@dataclass(frozen=True, slots=True)
class FetchMetrics:
    """Request the metrics of each node. Unsequenced; each node sends one unsequenced `Response` to the inbox.

    The sender need not be a node. The first row of the response is `[host, pid]`; each other row is a sample:
    `[metric, value, [[label, value], ...], suffix]`.
    """

    request_id: int


@dataclass(frozen=True, slots=True)
class Response:
    """One batch of a response, sent to the requester's inbox.

    Attributes:
        request_id: id of the request.
        part: a list of rows, packed by `pack_values`.
        last: whether this batch completes the node's response.
    """

    request_id: int
    part: bytes
    last: bool


@dataclass(frozen=True, slots=True)
class AckCount:
    """The number of clients that a node asks for an `AckedBroadcast`; sent before their acknowledgements.

    Sent again with a lower number when clients disconnect that have not acknowledged; nodes of earlier releases
    ignore that.
    """

    request_id: int
    expected: int


@dataclass(frozen=True, slots=True)
class AckResponse:
    """The acknowledgement of one client for an `AckedBroadcast`: its arguments, packed by `pack_values`."""

    request_id: int
    args: bytes


@dataclass(frozen=True, slots=True)
class ReplayRequest:
    """Request a publisher's messages after a sequence number again. Unsequenced, sent to the publisher's inbox.

    Attributes:
        request_id: unique per sender; the answer carries it.
        after: messages up to this n need not be replayed.
        max_age_s: messages older than this many seconds need not be replayed.
        topics: a Bloom filter of the sender's topics, without those of its sessions. These, its inbox and the
            topic of all nodes are always requested, because their names show that the sender subscribes to them.
        numbers_only: whether to answer with the newest number of each topic instead of the messages. Earlier
            releases ignore the field and send the messages.
    """

    request_id: int
    after: int
    max_age_s: float
    topics: bytes
    numbers_only: bool = False


class ReplayedRow(NamedTuple):
    """A message that is sent again.

    Attributes:
        topic: as it was sent.
        body: as it was sent, with its own message_id.
        age_s: seconds since then.
    """

    topic: bytes
    body: bytes
    age_s: float


class TopicRow(NamedTuple):
    """The newest message of a topic.

    Attributes:
        topic: the topic.
        n: the number of the message.
        age_s: seconds since it was sent.
    """

    topic: bytes
    n: int
    age_s: float


class LostRow(NamedTuple):
    """Messages of one topic that cannot be replayed.

    Attributes:
        topic: the topic.
        numbers: the n of each message.
        newest_age_s: seconds since the newest of them was sent.
    """

    topic: bytes
    numbers: tuple[int, ...]
    newest_age_s: float


@dataclass(frozen=True, slots=True)
class ReplayAnswer:
    """A publisher's answer to a `ReplayRequest`. Unsequenced, sent to the requester's inbox.

    Attributes:
        request_id: id of the request.
        upto: every message for the requester up to this n is in the answer: replayed, lost or forgotten.
        complete: whether `upto` is the newest n, so that later messages on this link follow without a gap.
        forgotten: number of messages, of any topic, that are so old that their topics are no longer known.
        lost: messages that are no longer in the replay buffer.
        messages: the replayed messages, in order.
        newest: the newest message of each topic, in place of `messages`, if the request is for `numbers_only`.
    """

    request_id: int
    upto: int
    complete: bool
    forgotten: int
    lost: tuple[LostRow, ...]
    messages: tuple[ReplayedRow, ...]
    newest: tuple["TopicRow", ...] = ()


Message: TypeAlias = (
    Heartbeat
    | Goodbye
    | BroadcastMessage
    | AckedBroadcast
    | JoinRooms
    | LeaveRooms
    | DisconnectSockets
    | ServerSideEmit
    | FetchSockets
    | FetchRooms
    | FetchMetrics
    | Response
    | AckCount
    | AckResponse
    | ReplayRequest
    | ReplayAnswer
    | RelayMessage
    | RecoveryMessage
)


class Envelope(NamedTuple):
    """One message between nodes, with its id."""

    id: MessageId
    message: Message
