"""The body of one request, read within limits of size and time.

The time limit grows with the received bytes. A client with a slow connection can therefore send a large body, but
a client that sends a byte now and then cannot keep a request open.

Knows ASGI messages and exchanges; must not know sessions or packets.

Source: ASGI specification, "HTTP & WebSocket ASGI Message Format" 2.4; the time limit follows Apache's
mod_reqtimeout (`RequestReadTimeout body=20,MinRate=500`).
"""

import asyncio

from zmqio.config import EngineOptions
from zmqio.engine.handshake import BAD_REQUEST, Refusal
from zmqio.engine.http_exchange import Exchange
from zmqio.engine.incomplete_bodies import MAX_INCOMPLETE_BYTES, IncompleteBodies

__all__ = [
    "DISPLACED",
    "BodyTimeoutError",
    "BodyTooLargeError",
    "ClientGoneError",
    "RequestBody",
    "too_large",
    "too_slow",
]

DISPLACED = Refusal(
    BAD_REQUEST.code,
    f"The server holds {MAX_INCOMPLETE_BYTES} bytes of incomplete request bodies; send the request again, faster",
    503,
)
"""The answer to a request whose body was displaced by newer ones."""


class BodyTooLargeError(Exception):
    """The request body is over the limit; the part received was dropped."""


class ClientGoneError(Exception):
    """The client disconnected before the end of its request body."""


class BodyTimeoutError(Exception):
    """The request body took too long, or `RequestBody.abort` was called; the part received was dropped."""


class RequestBody:
    """Reads one request body.

    Args:
        options: `max_payload_bytes`, `body_timeout_s` and `body_min_bytes_per_s`.

    Attributes:
        aborted: whether `abort` was called.
        displaced: whether it was aborted because all incomplete bodies of this process take too much memory.
    """

    __slots__ = ("_limit_bytes", "_rate", "_time_limit", "_timeout_s", "aborted", "displaced")

    def __init__(self, options: EngineOptions) -> None:
        self.aborted = self.displaced = False
        self._limit_bytes = options.max_payload_bytes
        self._timeout_s = options.body_timeout_s
        self._rate = options.body_min_bytes_per_s
        self._time_limit: asyncio.Timeout | None = None

    def abort(self) -> None:
        """End the reading with `BodyTimeoutError`; does nothing before and after it."""
        self.aborted = True
        if self._time_limit is not None and not self._time_limit.expired():
            self._time_limit.reschedule(asyncio.get_running_loop().time())

    async def read(self, exchange: Exchange) -> bytes:
        """Read the whole body.

        Raises:
            BodyTooLargeError: it has, or its Content-Length announces, more than `max_payload_bytes`.
            BodyTimeoutError: it is not complete in time. `exchange` then closes the connection with its answer.
            ClientGoneError: the client disconnects before its end.
        """
        announced = exchange.request.headers.get("content-length", "")
        if announced.isdecimal() and int(announced) > self._limit_bytes:
            raise BodyTooLargeError
        try:
            async with asyncio.timeout(self._timeout_s) as self._time_limit:
                return await self._read(exchange, self._time_limit)
        except TimeoutError:
            exchange.closes = True
            raise BodyTimeoutError from None
        finally:
            self._time_limit = None
            _incomplete.remove(self)

    async def _read(self, exchange: Exchange, time_limit: asyncio.Timeout) -> bytes:
        start_s = asyncio.get_running_loop().time()
        body: bytes | bytearray = b""
        while not self.aborted:
            message = await exchange.receive()
            if message["type"] == "http.disconnect":
                raise ClientGoneError
            body = _joined(body, message.get("body", b""))
            if len(body) > self._limit_bytes:
                raise BodyTooLargeError
            if not message.get("more_body", False):
                return body if isinstance(body, bytes) else bytes(body)
            _incomplete.set_size(self, len(body))
            if not self.aborted:
                time_limit.reschedule(start_s + self._timeout_s + len(body) / self._rate)
        raise TimeoutError


def _displace(body: RequestBody) -> None:
    body.displaced = True
    body.abort()


_incomplete = IncompleteBodies(_displace)


def too_large(options: EngineOptions) -> Refusal:
    """The answer to a request whose body raised `BodyTooLargeError`."""
    message = f"Request body over {options.max_payload_bytes} bytes (max_payload_bytes)"
    return Refusal(BAD_REQUEST.code, message, 413)


def too_slow(options: EngineOptions) -> Refusal:
    """The answer to a request whose body took too long."""
    message = (
        f"Request body not complete within {options.body_timeout_s:g} s (body_timeout_s) and 1 s more for every "
        f"{options.body_min_bytes_per_s} bytes (body_min_bytes_per_s)"
    )
    return Refusal(BAD_REQUEST.code, message, 408)


def _joined(body: bytes | bytearray, chunk: bytes) -> bytes | bytearray:
    """Append a chunk. A list of chunks of 2 bytes would take 24 times the memory of one buffer."""
    if not body:
        return chunk
    if isinstance(body, bytes):
        body = bytearray(body)
    body += chunk
    return body
