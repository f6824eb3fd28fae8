"""Polling requests of clients whose session another node owns: one question to it, and one answer.

While a poll waits there is nothing between the nodes; a client that hangs up is a third message. Knows exchanges
and the messages between nodes; must not know sessions.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import TypeAlias

from zmqio.engine.foreign_sessions import NO_BUS, unknown_sid
from zmqio.engine.handshake import BAD_REQUEST, Refusal
from zmqio.engine.http_exchange import BodyTooLargeError, ClientGoneError, Exchange
from zmqio.engine.long_poll import LongPollWaiter
from zmqio.engine.packets import NOOP, Prepared
from zmqio.exceptions import BusError, MessageTooLargeError, ProtocolError
from zmqio.ids import NodeId
from zmqio.protocol.relay_messages import HttpCancel, HttpRequest, HttpResponse, RelayMessage
from zmqio.relay.owner_poll import bus_limit
from zmqio.relay.scope import forwarded_headers, split_fields

__all__ = ["ForwardedPolls", "Say"]

Say = Callable[[NodeId, RelayMessage], None]
"""Sends a message to a node; raises BusError or ProtocolError."""

Outcome: TypeAlias = HttpResponse | Refusal | Prepared


class _Pending(LongPollWaiter):
    """A request that waits for the owner's answer."""

    __slots__ = ("method", "outcome", "owner", "sid", "written")

    def __init__(self, owner: NodeId, sid: str, method: str) -> None:
        super().__init__()
        self.owner = owner
        self.sid = sid
        self.method = method
        self.outcome: Outcome | None = None
        self.written = False

    def settle(self, outcome: Outcome) -> None:
        self.outcome = outcome
        self.release()


class ForwardedPolls:
    """What one node has asked others for.

    Args:
        say: sends a message to a node.
        ids: gives request ids.
        max_payload_bytes: largest body that is taken from a client.
        counters: `polls_forwarded`, `polls_cancelled`.
    """

    def __init__(self, say: Say, ids: Iterator[int], max_payload_bytes: int, counters: Counter[str]) -> None:
        self._say = say
        self._ids = ids
        self._max_payload_bytes = max_payload_bytes
        self._counters = counters
        self._pending: dict[int, _Pending] = {}

    def __len__(self) -> int:
        return len(self._pending)

    async def read(self, exchange: Exchange) -> HttpRequest | Refusal:
        """Read a request to its end, which may take the client a while; a refusal if it cannot be passed on."""
        request = exchange.request
        if request.method not in ("GET", "POST"):
            return BAD_REQUEST
        body, whole = b"", True
        if request.method == "POST":
            try:
                body = await exchange.read_body(self._max_payload_bytes)
            except BodyTooLargeError:
                limit = self._max_payload_bytes
                message = f"Request body over {limit} bytes (max_payload_bytes)"
                return Refusal(BAD_REQUEST.code, message, 413)
            except ClientGoneError:
                whole = False
        head = request.query, forwarded_headers(request), request.address, request.secure
        return HttpRequest(next(self._ids), request.method, *head, body, whole)

    async def forward(self, owner: NodeId, sid: str, message: HttpRequest, exchange: Exchange) -> Refusal | None:
        """Let `owner`, which is alive now, answer; returns what to answer if it cannot."""
        request_id = message.request_id
        pending = self._pending[request_id] = _Pending(owner, sid, message.method)
        self._counters["polls_forwarded"] += 1
        delivered = False
        try:
            refusal = await self._ask(pending, message, exchange)
            delivered = True
        finally:
            del self._pending[request_id]
            if not delivered and not pending.written:
                self._cancel(owner, request_id)
        return refusal

    def answered(self, owner: NodeId, response: HttpResponse) -> None:
        """A node answers; what nobody waits for any more was cancelled already, and goes back to its session."""
        pending = self._pending.get(response.request_id)
        if pending is not None and pending.owner == owner and pending.outcome is None:
            pending.settle(response)

    def node_gone(self, node_id: NodeId, why: str) -> None:
        """What that node was asked is not going to be answered."""
        for pending in self._pending.values():
            if pending.owner == node_id and pending.outcome is None:
                pending.settle(unknown_sid(pending.sid, why))

    def leave(self) -> None:
        """This node stops: clients that wait are sent away with a noop, so that they ask again elsewhere."""
        for request_id, pending in self._pending.items():
            if pending.method == "GET" and pending.outcome is None:
                self._cancel(pending.owner, request_id)
                pending.settle(NOOP)

    async def _ask(self, pending: _Pending, message: HttpRequest, exchange: Exchange) -> Refusal | None:
        """Ask, and pass the answer on.

        Raises:
            ConnectionError: the client did not get it.
        """
        try:
            self._say(pending.owner, message)
        except MessageTooLargeError as error:
            return bus_limit(error)
        except BusError:
            return unknown_sid(pending.sid, NO_BUS, 503)
        except ProtocolError:
            return BAD_REQUEST
        if not message.whole or not await pending.wait(exchange.receive):
            raise ConnectionError("the client has gone")
        # A hang-up that came in the same turn of the loop as the answer is known in the next.
        await asyncio.sleep(0)
        if not await pending.wait(exchange.receive):
            raise ConnectionError("the client has gone")
        outcome = pending.outcome
        try:
            return await self._pass_on(outcome, exchange)
        except asyncio.CancelledError:
            # It was written; what was cut short is the wait for the connection to take it.
            pending.written = True
            raise

    @staticmethod
    async def _pass_on(outcome: Outcome | None, exchange: Exchange) -> Refusal | None:
        if isinstance(outcome, HttpResponse):
            await exchange.pass_on(outcome.status, split_fields(outcome.headers), outcome.body)
        elif isinstance(outcome, Prepared):
            await exchange.answer_text(outcome.polling)
        else:
            return outcome
        return None

    def _cancel(self, owner: NodeId, request_id: int) -> None:
        self._counters["polls_cancelled"] += 1
        with suppress(BusError):
            self._say(owner, HttpCancel(request_id))
