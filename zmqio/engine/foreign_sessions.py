"""Requests for sessions that this process does not have: forwarded to the owner of the session, or refused.

A refusal has the body of the JavaScript server (`{"code":1,"message":"Session ID unknown"}`), extended by the node
tag in the session id and by the reason.

Knows the contract of the forwarder; must not know the bus.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any, Protocol

from zmqio.engine import websocket
from zmqio.engine.handshake import UNKNOWN_SID, ClientRequest, Refusal
from zmqio.engine.http_exchange import RELAYED, Exchange, Send
from zmqio.engine.long_poll import Receive
from zmqio.ids import NodeTag, is_sid_shaped, tag_of
from zmqio.log_limit import LimitedLog

__all__ = [
    "ALONE",
    "ENDED",
    "MALFORMED",
    "NO_BUS",
    "NO_NODE",
    "SessionForwarder",
    "UnknownSessions",
    "unknown_sid",
    "why_unknown",
]

ALONE = "session was not created by this process and no adapter is configured"
ENDED = "session has ended, or its node was restarted"
MALFORMED = "not a session id of zmqio, which has 20 characters"
NO_BUS = "node of the session cannot be reached: no broker is connected"
NO_NODE = "no live node has this tag"


class SessionForwarder(Protocol):
    """Forwards requests to the nodes that own their sessions."""

    async def poll(self, sid: str, exchange: Exchange) -> Refusal | None:
        """Let the owner of `sid` answer a GET or POST; return the refusal if there is no owner."""

    async def websocket(
        self, sid: str, request: ClientRequest, scope: Mapping[str, Any], receive: Receive, send: Send
    ) -> Refusal | None:
        """Let the owner of `sid` serve a WebSocket to its end; return the refusal if there is no owner."""


class UnknownSessions:
    """Handles the requests for sessions that this node does not have.

    Args:
        tag: the tag of this node.
        counters: counts `sessions_unknown`.
        notices: the rate-limited log for events that clients can cause at will.

    Attributes:
        forwarder: forwards requests to other nodes; None without an adapter.
    """

    def __init__(self, tag: NodeTag, counters: Counter[str], notices: LimitedLog) -> None:
        self.forwarder: SessionForwarder | None = None
        self._tag = tag
        self._counters = counters
        self._notices = notices

    async def poll(self, sid: str, exchange: Exchange) -> None:
        """Forward or refuse a polling request."""
        forwarder = self.forwarder
        refusal = self._refuse_at_once(sid, relayed=exchange.relayed is not None)
        if refusal is None and forwarder is not None:
            refusal = await forwarder.poll(sid, exchange)
        if refusal is not None:
            self._report(refusal)
            await exchange.refuse(refusal)

    async def websocket(
        self, sid: str, request: ClientRequest, scope: Mapping[str, Any], receive: Receive, send: Send
    ) -> None:
        """Forward or refuse a WebSocket."""
        forwarder = self.forwarder
        refusal = self._refuse_at_once(sid, relayed=RELAYED in (scope.get("extensions") or {}))
        if refusal is None and forwarder is not None:
            refusal = await forwarder.websocket(sid, request, scope, receive, send)
        if refusal is not None:
            self._report(refusal)
            await websocket.refuse(refusal, scope, receive, send)

    def _refuse_at_once(self, sid: str, *, relayed: bool) -> Refusal | None:
        reason = why_unknown(sid, self._tag, alone=self.forwarder is None, relayed=relayed)
        return None if reason is None else unknown_sid(sid, reason)

    def _report(self, refusal: Refusal) -> None:
        if refusal.message == UNKNOWN_SID.message:
            self._counters["sessions_unknown"] += 1
            facts = dict(refusal.details)
            tag = facts.get("node")
            # Not a fault: one of this node's own sessions has just ended.
            if tag == self._tag:
                self._notices.info("session_unknown", node_tag=tag, reason=facts["reason"])
            else:
                self._notices.warning("session_unknown", node_tag=tag, reason=facts["reason"])


def unknown_sid(sid: str, reason: str, status: int = UNKNOWN_SID.status) -> Refusal:
    """The refusal of a request for the session `sid`; it reveals nothing of the id but the tag."""
    if not is_sid_shaped(sid):
        return Refusal(UNKNOWN_SID.code, UNKNOWN_SID.message, status, (("reason", MALFORMED),))
    details = (("node", str(tag_of(sid))), ("reason", reason))
    return Refusal(UNKNOWN_SID.code, UNKNOWN_SID.message, status, details)


def why_unknown(sid: str, tag: NodeTag, *, alone: bool, relayed: bool) -> str | None:
    """Return why a request for the session `sid` is refused at once; None if it is to be forwarded to the owner.

    Args:
        sid: as sent by the client.
        tag: the tag of this node.
        alone: whether no adapter is configured.
        relayed: whether another node forwarded the request; it is never forwarded twice.
    """
    if not is_sid_shaped(sid):
        return MALFORMED
    if relayed or tag_of(sid) == tag:
        return ENDED
    return ALONE if alone else None
