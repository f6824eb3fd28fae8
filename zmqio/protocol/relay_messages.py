"""The messages of the relay: a client's request reached one node, and another node owns its session.

The node that the client has reached is the *ingress*; the node of the session is the *owner*. Every message goes
to the inbox of one of the two. The rules of `zmqio.protocol.messages` apply.

| sender | polls | WebSockets |
|---|---|---|
| ingress | `HttpRequest`, `HttpCancel`, `HttpDelivered` | `StreamOpen` |
| owner | `HttpResponse` | `StreamAccept`, `StreamRefuse` |
| both | | `StreamData`, `StreamCredit`, `StreamClose` |
"""

from dataclasses import dataclass
from typing import TypeAlias

__all__ = [
    "HttpCancel",
    "HttpDelivered",
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
        request_id: unique per sender, across its streams as well; the response carries it.
        method: `GET` or `POST`; `HEAD` asks whether the owner has the session, before the body of a POST is
            complete.
        query: the query string as the client sent it, without the question mark.
        headers: the headers that the owner needs: name, value, name, value, ...; names are lower case.
        address: the client's host; empty if unknown.
        secure: whether the client connected over TLS.
        body: the request body.
        whole: false if the client disconnected before the end of the body.
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
    """The complete response to an `HttpRequest`; `headers` in the same form."""

    request_id: int
    status: int
    headers: tuple[str, ...]
    body: bytes


@dataclass(frozen=True, slots=True)
class HttpCancel:
    """The client does not get the response.

    Attributes:
        request_id: of the `HttpRequest`.
        client_gone: whether the client has disconnected, which ends the session. Otherwise the ingress node stops,
            the client polls again at another node, and the packets of the response stay in the session.
    """

    request_id: int
    client_gone: bool


@dataclass(frozen=True, slots=True)
class HttpDelivered:
    """The response to a GET was written to the client's connection; without this, the owner takes it for lost."""

    request_id: int


@dataclass(frozen=True, slots=True)
class StreamOpen:
    """A client's WebSocket for a session of the receiving node; other fields as in `HttpRequest`.

    Attributes:
        stream_id: unique per sender, like `request_id`.
        window_bytes: most bytes that the owner may have in flight to the ingress.
    """

    stream_id: int
    query: str
    headers: tuple[str, ...]
    address: str
    secure: bool
    window_bytes: int


@dataclass(frozen=True, slots=True)
class StreamAccept:
    """The owner accepts the WebSocket; the ingress may have `window_bytes` in flight to the owner."""

    stream_id: int
    window_bytes: int


@dataclass(frozen=True, slots=True)
class StreamRefuse:
    """The owner refuses the WebSocket; `status` and the JSON `body` are the response to its opening request."""

    stream_id: int
    status: int
    body: bytes


@dataclass(frozen=True, slots=True)
class StreamData:
    """WebSocket messages, in order.

    Attributes:
        stream_id: id of the `StreamOpen`.
        down: true towards the client, false from it. Therefore two nodes may use the same stream ids.
        seq: counts the `StreamData` of one stream and direction from 0; a missing number closes the stream.
        frames: one string or binary value per WebSocket message.
    """

    stream_id: int
    down: bool
    seq: int
    frames: tuple[str | bytes, ...]


@dataclass(frozen=True, slots=True)
class StreamCredit:
    """The total number of bytes consumed from the other end since the stream began.

    `down` is the direction of this message; the consumed bytes came the other way.
    """

    stream_id: int
    down: bool
    taken_bytes: int


@dataclass(frozen=True, slots=True)
class StreamClose:
    """The WebSocket is closed after all messages sent before. A close is never answered.

    Attributes:
        stream_id: id of the `StreamOpen`.
        down: as in `StreamData`.
        code: close code of the Close frame; 1006 means: drop the connection without a Close frame.
        reason: for logs.
    """

    stream_id: int
    down: bool
    code: int
    reason: str


RelayMessage: TypeAlias = (
    HttpRequest
    | HttpResponse
    | HttpCancel
    | HttpDelivered
    | StreamOpen
    | StreamAccept
    | StreamRefuse
    | StreamData
    | StreamCredit
    | StreamClose
)
