"""What nodes say to each other, as values: one frozen dataclass for each message, and the id of each.

Those about a client's request at a node that does not own its session are in `zmqio.protocol.relay_messages`.
Their form on the wire is made in `zmqio.protocol.envelope`. The fields travel in the order in which they
stand here, so a field may only be added at the end, and never moved.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import NamedTuple, TypeAlias

from zmqio.ids import NodeId
from zmqio.protocol.packet import AckableFrames, Frames
from zmqio.protocol.relay_messages import RelayMessage

__all__ = [
    "AckCount",
    "AckResponse",
    "AckedBroadcast",
    "BroadcastMessage",
    "DisconnectSockets",
    "Envelope",
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
]


class MessageType(IntEnum):
    """The numbers on the wire: never changed, never used again."""

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
    HTTP_REQUEST = 20
    HTTP_RESPONSE = 21
    HTTP_CANCEL = 22
    STREAM_OPEN = 23
    STREAM_ACCEPT = 24
    STREAM_REFUSE = 25
    STREAM_DATA = 26
    STREAM_CREDIT = 27
    STREAM_CLOSE = 28


# Every message makes one MessageId and one Envelope: as tuples they cost half of what frozen dataclasses do.
class MessageId(NamedTuple):
    """Who sent a message, and its place among all that this node sent.

    Attributes:
        node_id: the sender; 1 to 64 characters.
        n: one counter for each run of a node. Of an unsequenced message: the counter as it stands.
        previous: n of the sender's last message on the same topic, 0 if there was none. None marks an
            unsequenced message (heartbeat, goodbye): it is not counted and never replayed.
    """

    node_id: NodeId
    n: int
    previous: int | None = None


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """I live.

    Attributes:
        hello: the first one, or an answer is wanted at once.
        started_at: Unix seconds of the process start.
        tag_is_configured: see `zmqio.adapter.base.Identity`.
        host: name of the machine, for people to read.
        pid: process id, for people to read.
        generation: how often the way to the broker that this came by was made anew, or was full, so that what its
            sender had sent by it may be lost. A new one is told before anything else passes that way.
    """

    hello: bool
    started_at: float
    tag_is_configured: bool
    host: str
    pid: int
    generation: int


@dataclass(frozen=True, slots=True)
class Goodbye:
    """I leave; `reason` is for people to read."""

    reason: str


@dataclass(frozen=True, slots=True)
class BroadcastMessage:
    """An encoded packet for the sockets of a namespace that `rooms` and `except_` choose.

    Attributes:
        namespace: whose sockets.
        rooms: members of any of these; empty for all. This and `except_` mean the same in every message.
        except_: but no member of any of these.
        volatile: a client that cannot take it now does not get it.
        frames: the packet, as its parser encoded it; opaque.
    """

    namespace: str
    rooms: tuple[str, ...]
    except_: tuple[str, ...]
    volatile: bool
    frames: Frames


@dataclass(frozen=True, slots=True)
class AckedBroadcast:
    """A packet that asks each client for an acknowledgement.

    A node tells the sender's inbox with `AckCount` how many clients it asked, then each answer with
    `AckResponse`.

    Attributes:
        request_id: unique for the sender; answers carry it.
        namespace: see `BroadcastMessage`.
        rooms: see `BroadcastMessage`.
        except_: see `BroadcastMessage`.
        timeout_s: seconds after which nobody waits for an answer any more.
        frames: the packet; each node fills in ack ids of its own.
    """

    request_id: int
    namespace: str
    rooms: tuple[str, ...]
    except_: tuple[str, ...]
    timeout_s: float
    frames: AckableFrames


@dataclass(frozen=True, slots=True)
class JoinRooms:
    """Put the chosen sockets in the rooms `names`."""

    namespace: str
    rooms: tuple[str, ...]
    except_: tuple[str, ...]
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LeaveRooms:
    """Take the chosen sockets out of the rooms `names`."""

    namespace: str
    rooms: tuple[str, ...]
    except_: tuple[str, ...]
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DisconnectSockets:
    """Disconnect the chosen sockets; with `close` their whole connections."""

    namespace: str
    rooms: tuple[str, ...]
    except_: tuple[str, ...]
    close: bool


@dataclass(frozen=True, slots=True)
class ServerSideEmit:
    """An event for the application on the other nodes.

    Attributes:
        namespace: where it was emitted.
        args: event name and arguments, by `pack_values`.
        request_id: None when no answer is wanted; else one `Response` of each node is.
    """

    namespace: str
    args: bytes
    request_id: int | None


@dataclass(frozen=True, slots=True)
class FetchSockets:
    """Describe the chosen sockets, in `Response` messages to the sender's inbox."""

    request_id: int
    namespace: str
    rooms: tuple[str, ...]
    except_: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FetchRooms:
    """Name your rooms that have a member, in `Response` messages to the sender's inbox."""

    request_id: int
    namespace: str


@dataclass(frozen=True, slots=True)
class Response:
    """A part of an answer, in the asker's inbox.

    Attributes:
        request_id: of the request.
        part: the values, by `pack_values`.
        last: whether this node has now said everything.
    """

    request_id: int
    part: bytes
    last: bool


@dataclass(frozen=True, slots=True)
class AckCount:
    """How many clients of this node were asked by an `AckedBroadcast`; comes before their answers."""

    request_id: int
    expected: int


@dataclass(frozen=True, slots=True)
class AckResponse:
    """What one client answered to an `AckedBroadcast`: its list of arguments, by `pack_values`."""

    request_id: int
    args: bytes


@dataclass(frozen=True, slots=True)
class ReplayRequest:
    """Send me again what you sent after a number, on my topics. Unsequenced, to the publisher's inbox.

    Attributes:
        request_id: unique for the sender; the answer carries it.
        after: the highest n that needs no repeating.
        max_age_s: seconds; nothing older concerns the sender.
        topics: a Bloom filter of the sender's topics, without its inbox, its sessions and the topic of all nodes:
            those are its own by their names.
    """

    request_id: int
    after: int
    max_age_s: float
    topics: bytes


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


class LostRow(NamedTuple):
    """Messages of one topic that cannot be sent again.

    Attributes:
        topic: theirs.
        numbers: their n.
        newest_age_s: seconds since the newest of them was sent.
    """

    topic: bytes
    numbers: tuple[int, ...]
    newest_age_s: float


@dataclass(frozen=True, slots=True)
class ReplayAnswer:
    """What a publisher still has. Unsequenced, to the asker's inbox.

    Attributes:
        request_id: of the request.
        upto: with this, the asker has been told of all its messages up to this n.
        complete: `upto` is the newest: whatever follows on this way follows without a hole.
        forgotten: how many messages of any topic are so old that not even their topics are known any more.
        lost: what is not kept any more.
        messages: what is, in order.
    """

    request_id: int
    upto: int
    complete: bool
    forgotten: int
    lost: tuple[LostRow, ...]
    messages: tuple[ReplayedRow, ...]


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
    | Response
    | AckCount
    | AckResponse
    | ReplayRequest
    | ReplayAnswer
    | RelayMessage
)


class Envelope(NamedTuple):
    """One message between nodes: what is said, and who says it when."""

    id: MessageId
    message: Message
