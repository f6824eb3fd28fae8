"""Requests for sessions that are not here: carried to their owner, or answered at once with what is wrong.

Knows the contract of whoever carries them; must not know the bus.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any, Protocol

from zmqio.engine import websocket
from zmqio.engine.handshake import UNKNOWN_SID, ClientRequest, Refusal
from zmqio.engine.http_exchange import RELAYED, Exchange, Send
from zmqio.engine.long_poll import Receive
from zmqio.engine.unknown_sid import unknown_sid, why_unknown
from zmqio.ids import NodeTag
from zmqio.log_limit import LimitedLog

__all__ = ["SessionForwarder", "UnknownSessions"]


class SessionForwarder(Protocol):
    """Carries requests to the nodes that own their sessions."""

    async def poll(self, sid: str, exchange: Exchange) -> Refusal | None:
        """Answer a GET or POST for the owner of `sid`; else what to answer: there is no owner, or it is gone."""

    async def websocket(
        self, sid: str, request: ClientRequest, scope: Mapping[str, Any], receive: Receive, send: Send
    ) -> Refusal | None:
        """Serve a WebSocket for the owner of `sid`, to its end; else what to answer to its opening request."""


class UnknownSessions:
    """The requests that one node gets for sessions of others.

    Args:
        tag: of this node.
        counters: `sessions_unknown` is counted there.
        notices: the log for what clients can cause as often as they like.

    Attributes:
        forwarder: who carries them; None in a process that is alone.
    """

    def __init__(self, tag: NodeTag, counters: Counter[str], notices: LimitedLog) -> None:
        self.forwarder: SessionForwarder | None = None
        self._tag = tag
        self._counters = counters
        self._notices = notices

    async def poll(self, sid: str, exchange: Exchange) -> None:
        """Answer a polling request."""
        forwarder = self.forwarder
        refusal = self._refuse_at_once(sid, relayed=exchange.relayed is not None)
        if refusal is None and forwarder is not None:
            refusal = await forwarder.poll(sid, exchange)
        if refusal is not None:
            self._note(refusal)
            await exchange.refuse(refusal)

    async def websocket(
        self, sid: str, request: ClientRequest, scope: Mapping[str, Any], receive: Receive, send: Send
    ) -> None:
        """Serve a WebSocket, or refuse it."""
        forwarder = self.forwarder
        refusal = self._refuse_at_once(sid, relayed=RELAYED in (scope.get("extensions") or {}))
        if refusal is None and forwarder is not None:
            refusal = await forwarder.websocket(sid, request, scope, receive, send)
        if refusal is not None:
            self._note(refusal)
            await websocket.refuse(refusal, scope, receive, send)

    def _refuse_at_once(self, sid: str, *, relayed: bool) -> Refusal | None:
        reason = why_unknown(sid, self._tag, alone=self.forwarder is None, relayed=relayed)
        return None if reason is None else unknown_sid(sid, reason)

    def _note(self, refusal: Refusal) -> None:
        if refusal.message == UNKNOWN_SID.message:
            self._counters["sessions_unknown"] += 1
            facts = dict(refusal.details)
            tag = facts.get("node")
            # A session of this node has ended a moment ago, as sessions do: nothing to mend.
            tell = self._notices.info if tag == self._tag else self._notices.warning
            tell("session_unknown", node_tag=tag, reason=facts["reason"])
