"""What nodes say to each other about a client's request that has come to another node than its session's owner.

Two nodes take part: the *owner* of the session, and the node that the client has reached (the *relay*). All of
these go to the inbox of one of the two. For the rest the rules of `zmqio.protocol.messages` hold.

| who says it | polls | WebSockets |
|---|---|---|
| relay | `HttpRequest`, `HttpCancel` | `StreamOpen` |
| owner | `HttpResponse` | `StreamAccept`, `StreamRefuse` |
| both | | `StreamData`, `StreamCredit`, `StreamClose` |
"""

from dataclasses import dataclass
from typing import TypeAlias

__all__ = [
    "HttpCancel",
    "HttpRequest",
    "HttpResponse",
    "RelayMessage",
    "StreamAccept",
    "StreamClose",
    "StreamCredit",
    "StreamData",
    "StreamOpen",
    "StreamRefuse",
]


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """A client's polling request for a session of the receiving node.

    Attributes:
        request_id: unique for the sender, among its streams too; the answer carries it.
        method: `GET` or `POST`.
        query: as the client sent it, without the question mark.
        headers: what the owner needs of them: name, value, name, value, ...; names are lower case.
        address: the client's host, or "".
        secure: whether it came over TLS.
        body: of the request.
        whole: false if the client went away in the middle of the body.
    """

    request_id: int
    method: str
    query: str
    headers: tuple[str, ...]
    address: str
    secure: bool
    body: bytes
    whole: bool


@dataclass(frozen=True, slots=True)
class HttpResponse:
    """The whole answer to an `HttpRequest`; `headers` as there."""

    request_id: int
    status: int
    headers: tuple[str, ...]
    body: bytes


@dataclass(frozen=True, slots=True)
class HttpCancel:
    """The client has gone before it had the answer: what was to go to it stays in its session."""

    request_id: int


@dataclass(frozen=True, slots=True)
class StreamOpen:
    """A client's WebSocket for a session of the receiving node; the fields as in `HttpRequest`.

    Attributes:
        stream_id: as `request_id`.
        window_bytes: how much the owner may send beyond what the relay has handed on.
    """

    stream_id: int
    query: str
    headers: tuple[str, ...]
    address: str
    secure: bool
    window_bytes: int


@dataclass(frozen=True, slots=True)
class StreamAccept:
    """The owner takes the WebSocket; `window_bytes` is how much the relay may send beyond what was taken."""

    stream_id: int
    window_bytes: int


@dataclass(frozen=True, slots=True)
class StreamRefuse:
    """The owner answers the opening request with an error; `body` is JSON."""

    stream_id: int
    status: int
    body: bytes


@dataclass(frozen=True, slots=True)
class StreamData:
    """WebSocket messages, in order.

    Attributes:
        stream_id: of the `StreamOpen`.
        down: towards the client; else from it. So two nodes may give their streams the same ids.
        seq: numbers the `StreamData` of one stream and direction from 0; one that is missing breaks the stream.
        frames: one text or binary each.
    """

    stream_id: int
    down: bool
    seq: int
    frames: tuple[str | bytes, ...]


@dataclass(frozen=True, slots=True)
class StreamCredit:
    """How many bytes of the other end's messages were handed on since the beginning of the stream.

    `down` is the direction of this message, so that of the bytes is the other.
    """

    stream_id: int
    down: bool
    taken_bytes: int


@dataclass(frozen=True, slots=True)
class StreamClose:
    """The WebSocket is closed, behind everything sent before. It is never answered.

    Attributes:
        stream_id: of the `StreamOpen`.
        down: as in `StreamData`.
        code: of the WebSocket's Close frame; 1006: drop the connection, without one.
        reason: for people to read.
    """

    stream_id: int
    down: bool
    code: int
    reason: str


RelayMessage: TypeAlias = (
    HttpRequest
    | HttpResponse
    | HttpCancel
    | StreamOpen
    | StreamAccept
    | StreamRefuse
    | StreamData
    | StreamCredit
    | StreamClose
)
