"""One HTTP request under ASGI, and its one answer.

Knows ASGI messages, CORS and compression; must not know sessions or packets.

Source: ASGI specification, "HTTP & WebSocket ASGI Message Format" 2.4.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from enum import Enum
from http import HTTPStatus
from typing import Any, Protocol

from zmqio.engine.handshake import ClientRequest, Refusal
from zmqio.engine.long_poll import Receive

__all__ = [
    "RELAYED",
    "AnswerFate",
    "Exchange",
    "Relayed",
    "Send",
    "SentAnswer",
    "accepted_encoding",
    "compress",
    "header_fields",
]

RELAYED = "zmqio.relayed"
"""Key in `scope["extensions"]` of the `Relayed` of a request that another node forwarded."""

Send = Callable[[dict[str, Any]], Awaitable[None]]
Headers = Sequence[tuple[str, str]]

# "explicit UTF-8 is required for pages not served under utf" (engine.io, polling transport)
POLL_TYPE = b"text/plain; charset=UTF-8"
# "text/html is required instead of text/plain to avoid an unwanted download dialog" (engine.io)
OK_TYPE = b"text/html"
ERROR_TYPE = b"application/json"

NOT_STORED = (b"cache-control", b"no-store")

# Larger bodies are compressed in a thread: 1 MB would block the event loop for about 20 ms.
COMPRESS_INLINE_BYTES = 1 << 16
MAX_ENCODINGS = 20
"""Most entries of an Accept-Encoding header that are read."""


class AnswerFate(Enum):
    """The outcome of an answer that another node carries to the client."""

    DELIVERED = "written to the client's connection"
    RETURNED = "not written, because the other node stops; the client stays"
    CLIENT_GONE = "not written, because the client has gone"
    CARRIER_LOST = "unknown, because the other node has died"


class Relayed(Protocol):
    """A request that another node forwarded."""

    @property
    def carrier(self) -> str:
        """The id of that node."""

    @property
    def client_gone(self) -> bool:
        """Whether a disconnect means that the client has gone; otherwise only the other node has."""

    def on_settled(self, answer: "SentAnswer") -> None:
        """Report to `answer`, the answer to this request, what becomes of it."""


class SentAnswer(Protocol):
    """An answer that was sent to the node that carries it to the client."""

    def settle(self, fate: AnswerFate) -> None:
        """Note that it was delivered, or that it was not, or that this will never be known."""

    def forget_packets(self) -> None:
        """Free the packets: too many are kept. If the answer is not delivered, they are lost."""


class Exchange:
    """One request and its answer.

    Args:
        request: the request.
        receive: the ASGI receive.
        send: the ASGI send.
        cors_headers: the CORS headers of every response.
        relayed: set if another node forwarded the request.

    Attributes:
        closes: whether a refusal closes the connection (HTTP/1). Set it if the client is still sending its body.
    """

    __slots__ = ("_cors_headers", "_send", "closes", "receive", "relayed", "request")

    def __init__(
        self,
        request: ClientRequest,
        receive: Receive,
        send: Send,
        cors_headers: Headers,
        relayed: Relayed | None = None,
    ) -> None:
        self.request = request
        self.receive = receive
        self._send = send
        self._cors_headers = cors_headers
        self.relayed = relayed
        self.closes = False

    def answer(
        self, status: int, body: bytes, content_type: bytes, headers: Headers = ()
    ) -> Coroutine[Any, Any, None]:
        """Send the whole answer, once the result is awaited.

        Raises:
            OSError: the ASGI server reports that the client has disconnected. Many drop the answer silently.
        """
        if self._cors_headers:
            headers = (*headers, *self._cors_headers)
        return self.send_response(status, header_fields(body, content_type, headers), body)

    async def send_response(self, status: int, fields: list[tuple[bytes, bytes]], body: bytes) -> None:
        """Send a response whose headers are complete; raises like `answer`."""
        await self._send({"type": "http.response.start", "status": status, "headers": fields})
        await self._send({"type": "http.response.body", "body": body, "more_body": False})

    def answer_text(self, body: bytes, headers: Headers = ()) -> Coroutine[Any, Any, None]:
        """Answer a poll."""
        return self.answer(200, body, POLL_TYPE, headers)

    def answer_ok(self) -> Coroutine[Any, Any, None]:
        """Answer a POST whose packets were handled."""
        return self.answer(200, b"ok", OK_TYPE)

    def refuse(self, refusal: Refusal) -> Coroutine[Any, Any, None]:
        """Answer with an error.

        Status 503 also closes the connection, so that a balancer can route the client's retry to another server.
        HTTP/2 has no such header.
        """
        closes = self.closes or refusal.status == HTTPStatus.SERVICE_UNAVAILABLE
        headers = (("connection", "close"),) if closes and self.request.http_version.startswith("1") else ()
        return self.answer(refusal.status, refusal.body, ERROR_TYPE, headers)

    def answer_preflight(self) -> Coroutine[Any, Any, None]:
        """Answer a CORS preflight with the CORS headers."""
        return self.send_response(204, _encode(self._cors_headers), b"")


def header_fields(body: bytes, content_type: bytes, headers: Headers) -> list[tuple[bytes, bytes]]:
    """The header fields of a response with `body`."""
    length = b"%d" % len(body)
    return [(b"content-type", content_type), (b"content-length", length), NOT_STORED, *_encode(headers)]


def _encode(headers: Headers) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode("latin-1")) for name, value in headers]


async def compress(body: bytes, encoding: str, compressor: Callable[[bytes], bytes]) -> tuple[bytes, Headers]:
    """Compress a body, a large one in a thread; return it and the headers that announce it."""
    if len(body) > COMPRESS_INLINE_BYTES:
        packed = await asyncio.to_thread(compressor, body)
    else:
        packed = compressor(body)
    return packed, [("content-encoding", encoding), ("vary", "Accept-Encoding")]


def accepted_encoding(header: str, offered: Sequence[str]) -> str | None:
    """The first of `offered` that an Accept-Encoding header accepts among its first `MAX_ENCODINGS`, or None.

    Source: RFC 9110, section 12.5.3: `q=0` means "not acceptable".
    """
    accepted = {}
    for item in header.lower().split(",", MAX_ENCODINGS)[:MAX_ENCODINGS]:
        name, _, parameters = item.partition(";")
        accepted[name.strip()] = parameters.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return next((name for name in offered if accepted.get(name, accepted.get("*", False))), None)
