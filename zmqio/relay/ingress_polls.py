"""Polling requests at the node that they reached, forwarded to the owner of their session: one message each way.

A waiting poll costs no messages between the nodes. A third message confirms the response to a GET, or cancels the
request.
Knows exchanges and the messages between nodes; must not know sessions.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from typing import TypeAlias

from zmqio.config import EngineOptions
from zmqio.engine.foreign_sessions import NO_BUS, unknown_sid
from zmqio.engine.handshake import BAD_REQUEST, Refusal
from zmqio.engine.http_exchange import Exchange
from zmqio.engine.long_poll import LongPollWaiter
from zmqio.engine.packets import NOOP, Prepared
from zmqio.engine.request_body import ClientGoneError
from zmqio.exceptions import BusError, MessageTooLargeError, ProtocolError
from zmqio.ids import NodeId
from zmqio.protocol.relay_messages import HttpCancel, HttpDelivered, HttpRequest, HttpResponse
from zmqio.relay.ingress_bodies import IngressBodies, SendTo, forwarded_request
from zmqio.relay.owner_poll import too_large_for_bus
from zmqio.relay.scope import split_fields

__all__ = ["IngressPolls", "SendTo"]

Outcome: TypeAlias = HttpResponse | Refusal | Prepared


class _PendingPoll(LongPollWaiter):
    """A forwarded request that waits for the owner's response."""

    __slots__ = ("method", "outcome", "owner", "sid", "written")

    def __init__(self, owner: NodeId, sid: str, method: str) -> None:
        super().__init__()
        self.owner = owner
        self.sid = sid
        self.method = method
        self.outcome: Outcome | None = None
        self.written = False

    def resolve(self, outcome: Outcome) -> None:
        self.outcome = outcome
        self.release()


class IngressPolls:
    """The polling requests that one node has forwarded to other nodes.

    Args:
        send_to: sends a message to a node.
        ids: generates request ids.
        options: limits of a request body.
        counters: counts `polls_forwarded`, `polls_cancelled`, `bodies_timed_out` and `bodies_displaced`.
    """

    def __init__(
        self, send_to: SendTo, ids: Iterator[int], options: EngineOptions, counters: Counter[str]
    ) -> None:
        self._send_to = send_to
        self._ids = ids
        self._counters = counters
        self._bodies = IngressBodies(send_to, ids, options, counters)
        self._pending: dict[int, _PendingPoll] = {}

    def __len__(self) -> int:
        return len(self._pending) + len(self._bodies)

    async def read(self, owner: NodeId, sid: str, exchange: Exchange) -> HttpRequest | Refusal:
        """Read a whole request, at the pace of its client; return a refusal if it cannot be forwarded."""
        method = exchange.request.method
        if method not in ("GET", "POST"):
            return BAD_REQUEST
        try:
            body = await self._bodies.read(owner, sid, exchange) if method == "POST" else b""
        except ClientGoneError:
            return forwarded_request(next(self._ids), exchange, whole=False)
        if isinstance(body, Refusal):
            return body
        return forwarded_request(next(self._ids), exchange, body=body)

    async def forward(self, owner: NodeId, sid: str, message: HttpRequest, exchange: Exchange) -> Refusal | None:
        """Forward a request to `owner`, a live node, and write its response; return a refusal if that fails."""
        request_id = message.request_id
        pending = self._pending[request_id] = _PendingPoll(owner, sid, message.method)
        self._counters["polls_forwarded"] += 1
        try:
            refusal = await self._exchange(pending, message, exchange)
        except BaseException as error:
            if pending.written:
                self._confirm(pending, request_id)
            else:
                self._cancel(owner, request_id, client_gone=isinstance(error, OSError))
            raise
        else:
            self._confirm(pending, request_id)
            return refusal
        finally:
            del self._pending[request_id]

    def responded(self, owner: NodeId, response: HttpResponse) -> None:
        """Handle the owner's response.

        Responses to cancelled requests are ignored; the owner takes them back when it receives the cancel.
        """
        pending = self._pending.get(response.request_id)
        if pending is None:
            self._bodies.responded(owner, response)
        elif pending.owner == owner and pending.outcome is None:
            pending.resolve(response)

    def node_unreachable(self, node_id: NodeId, reason: str) -> None:
        """Refuse the requests that wait for a response of that node."""
        for pending in self._pending.values():
            if pending.owner == node_id and pending.outcome is None:
                pending.resolve(unknown_sid(pending.sid, reason))
        self._bodies.node_unreachable(node_id, reason)

    def stop(self) -> None:
        """Answer waiting polls with a noop, so that their clients poll again at another node; POSTs continue."""
        for request_id, pending in self._pending.items():
            if pending.method == "GET" and pending.outcome is None:
                self._cancel(pending.owner, request_id, client_gone=False)
                pending.resolve(NOOP)

    async def _exchange(self, pending: _PendingPoll, message: HttpRequest, exchange: Exchange) -> Refusal | None:
        """Send the request, wait for the response, and write it.

        Raises:
            ConnectionError: the client disconnected before it had the response.
        """
        try:
            self._send_to(pending.owner, message)
        except MessageTooLargeError as error:
            return too_large_for_bus(error)
        except BusError:
            return unknown_sid(pending.sid, NO_BUS, 503)
        except ProtocolError:
            return BAD_REQUEST
        if not message.whole or not await pending.wait(exchange.receive):
            raise ConnectionError("the client has disconnected")
        # A disconnect in the same iteration of the event loop as the response is only visible in the next.
        await asyncio.sleep(0)
        if not await pending.wait(exchange.receive):
            raise ConnectionError("the client has disconnected")
        outcome = pending.outcome
        try:
            return await self._write(outcome, exchange)
        except asyncio.CancelledError:
            # The response is written; only the wait for a congested connection was cancelled.
            pending.written = True
            raise

    @staticmethod
    async def _write(outcome: Outcome | None, exchange: Exchange) -> Refusal | None:
        if isinstance(outcome, HttpResponse):
            await exchange.send_response(outcome.status, split_fields(outcome.headers), outcome.body)
        elif isinstance(outcome, Prepared):
            await exchange.answer_text(outcome.polling)
        else:
            return outcome
        return None

    def _confirm(self, pending: _PendingPoll, request_id: int) -> None:
        if pending.method == "GET" and isinstance(pending.outcome, HttpResponse) and pending.outcome.status == 200:
            with suppress(BusError):
                self._send_to(pending.owner, HttpDelivered(request_id))

    def _cancel(self, owner: NodeId, request_id: int, *, client_gone: bool) -> None:
        self._counters["polls_cancelled"] += 1
        with suppress(BusError):
            self._send_to(owner, HttpCancel(request_id, client_gone))
