"""Reads the bodies of POSTs that reached this node for sessions of other nodes.

While a body is not complete, the node asks the owner whether it has the session, with a HEAD request: after a
moment, and then every few seconds. The client of an unknown session, or of one that has ended, is refused before
it has sent its body.

Knows exchanges and the messages between nodes; must not know sessions.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from zmqio.config import EngineOptions
from zmqio.engine.foreign_sessions import ENDED, unknown_sid
from zmqio.engine.handshake import BAD_REQUEST, UNKNOWN_SID, Refusal
from zmqio.engine.http_exchange import Exchange
from zmqio.engine.incomplete_bodies import MAX_INCOMPLETE_BYTES
from zmqio.engine.request_body import (
    DISPLACED,
    BodyTimeoutError,
    BodyTooLargeError,
    RequestBody,
    too_large,
    too_slow,
)
from zmqio.exceptions import BusError, ProtocolError
from zmqio.ids import NodeId
from zmqio.log_limit import LimitedLog
from zmqio.logger import get_logger
from zmqio.protocol.relay_messages import HttpRequest, HttpResponse, RelayMessage
from zmqio.relay.scope import forwarded_headers

__all__ = ["IngressBodies", "SendTo", "forwarded_request"]

log = get_logger(__name__)

SendTo = Callable[[NodeId, RelayMessage], None]
"""Sends a message to a node; raises BusError or ProtocolError."""

CHECK_AFTER_S = 0.1
"""Seconds after which the owner is asked. Most bodies are complete earlier and cause no such request."""
CHECK_AGAIN_S = 2.0
"""Seconds after which it is asked again."""
UNKNOWN_BODY = UNKNOWN_SID.body[:-1]
"""The beginning of an owner's response for a session that it does not have."""


@dataclass(slots=True)
class _Reading:
    owner: NodeId
    sid: str
    body: RequestBody
    request_id: int = 0
    check: asyncio.TimerHandle | None = None
    refusal: Refusal | None = None

    def abort(self, refusal: Refusal) -> None:
        self.refusal = refusal
        self.body.abort()


class IngressBodies:
    """The request bodies that one node is reading for other nodes: at most one for each session.

    Args:
        send_to: sends a message to a node.
        ids: generates request ids.
        options: limits of a body.
        counters: counts `bodies_timed_out` and `bodies_displaced`.
    """

    def __init__(
        self, send_to: SendTo, ids: Iterator[int], options: EngineOptions, counters: Counter[str]
    ) -> None:
        self._send_to = send_to
        self._ids = ids
        self._options = options
        self._counters = counters
        self._notices = LimitedLog(log)
        self._readings: dict[str, _Reading] = {}

    def __len__(self) -> int:
        return len(self._readings)

    async def read(self, owner: NodeId, sid: str, exchange: Exchange) -> bytes | Refusal:
        """Read the body of a POST for the session `sid`; return a refusal if it cannot be forwarded.

        A second POST for the session at the same time ends both, and the session, as in the JavaScript server.

        Raises:
            ClientGoneError: the client disconnects before the end of the body.
        """
        earlier = self._readings.get(sid)
        if earlier is not None:
            earlier.abort(BAD_REQUEST)
            exchange.closes = True
            self._end_session(owner, exchange)
            return BAD_REQUEST
        reading = self._readings[sid] = _Reading(owner, sid, RequestBody(self._options))
        self._ask_after(CHECK_AFTER_S, reading, exchange)
        try:
            return await reading.body.read(exchange)
        except BodyTooLargeError:
            return too_large(self._options)
        except BodyTimeoutError:
            return reading.refusal or self._ended_early(reading, exchange)
        finally:
            if reading.check is not None:
                reading.check.cancel()
            del self._readings[sid]

    def responded(self, owner: NodeId, response: HttpResponse) -> None:
        """Handle an owner's response to the HEAD request for a session; ignore other responses."""
        if response.body.startswith(UNKNOWN_BODY):
            for reading in tuple(self._readings.values()):
                if reading.request_id == response.request_id and reading.owner == owner:
                    reading.abort(unknown_sid(reading.sid, ENDED))

    def node_unreachable(self, node_id: NodeId, reason: str) -> None:
        """Refuse the requests for sessions of that node."""
        for reading in tuple(self._readings.values()):
            if reading.owner == node_id:
                reading.abort(unknown_sid(reading.sid, reason))

    def _ask_after(self, pause_s: float, reading: _Reading, exchange: Exchange) -> None:
        reading.check = asyncio.get_running_loop().call_later(pause_s, self._ask, reading, exchange)

    def _ask(self, reading: _Reading, exchange: Exchange) -> None:
        self._ask_after(CHECK_AGAIN_S, reading, exchange)
        reading.request_id = next(self._ids)
        with suppress(BusError, ProtocolError):  # the body is refused once it is complete
            self._send_to(reading.owner, forwarded_request(reading.request_id, exchange, method="HEAD"))

    def _ended_early(self, reading: _Reading, exchange: Exchange) -> Refusal:
        self._end_session(reading.owner, exchange)
        if reading.body.displaced:
            self._counters["bodies_displaced"] += 1
            self._notices.info("body_displaced", limit=MAX_INCOMPLETE_BYTES, node_id=reading.owner)
            return DISPLACED
        limit_s = self._options.body_timeout_s
        self._counters["bodies_timed_out"] += 1
        self._notices.info("body_timed_out", limit_s=limit_s, option="body_timeout_s", node_id=reading.owner)
        return too_slow(self._options)

    def _end_session(self, owner: NodeId, exchange: Exchange) -> None:
        """Let the owner end the session: the body of a POST is incomplete."""
        with suppress(BusError, ProtocolError):
            self._send_to(owner, forwarded_request(next(self._ids), exchange, whole=False))


def forwarded_request(
    request_id: int, exchange: Exchange, *, method: str | None = None, body: bytes = b"", whole: bool = True
) -> HttpRequest:
    """The message that forwards a request to the owner of its session.

    Args:
        request_id: unique for this node.
        exchange: the request.
        method: replaces the request's own method.
        body: the request body.
        whole: False if the client disconnected before its end.
    """
    request = exchange.request
    head = request.query, forwarded_headers(request), request.address, request.secure
    return HttpRequest(request_id, method or request.method, *head, body, whole)
