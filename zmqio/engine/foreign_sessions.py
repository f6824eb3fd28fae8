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

ALONE = "it was not made by this process, which has no adapter to ask others"
ENDED = "this node has no such session: it has ended, or the node was started again"
MALFORMED = "it is no session id of zmqio: those have 20 characters"
NO_BUS = "its node cannot be reached: no broker is connected"
NO_NODE = "no live node has this tag"


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


def unknown_sid(sid: str, reason: str, status: int = UNKNOWN_SID.status) -> Refusal:
    """What to answer to a request for the session `sid`, of which only the tag is told."""
    if not is_sid_shaped(sid):
        return Refusal(UNKNOWN_SID.code, UNKNOWN_SID.message, status, (("reason", MALFORMED),))
    details = (("node", str(tag_of(sid))), ("reason", reason))
    return Refusal(UNKNOWN_SID.code, UNKNOWN_SID.message, status, details)


def why_unknown(sid: str, tag: NodeTag, *, alone: bool, relayed: bool) -> str | None:
    """Why nobody has to be asked for the session `sid`, which is not here; None if its owner has to be.

    Args:
        sid: as the client sent it.
        tag: of this node.
        alone: whether this node cannot ask others.
        relayed: whether another node has asked: who is asked never asks on.
    """
    if not is_sid_shaped(sid):
        return MALFORMED
    if relayed or tag_of(sid) == tag:
        return ENDED
    return ALONE if alone else None
