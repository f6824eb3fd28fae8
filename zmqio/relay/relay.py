"""Carries requests of clients between the node that they have reached and the node that owns their session.

No balancer has to be sticky then. Both halves are here: what this node passes on (`Foreign`, for the engine), and
what others pass on to it, which goes to the engine like a request of its own clients, and never further.
"""

from collections import Counter
from collections.abc import Mapping
from itertools import count
from typing import Any

import structlog

from zmqio.cluster.unicast import NodeMessenger, NodeMessengerFactory
from zmqio.config import EngineOptions
from zmqio.engine.foreign_sessions import NO_NODE, unknown_sid
from zmqio.engine.handshake import SHUTTING_DOWN, ClientRequest, Refusal
from zmqio.engine.http_exchange import Exchange, Send
from zmqio.engine.long_poll import Receive
from zmqio.engine.server import Engine
from zmqio.exceptions import BusError
from zmqio.ids import NodeId, tag_of
from zmqio.protocol import relay_messages as r
from zmqio.relay.ingress_polls import ForwardedPolls
from zmqio.relay.ingress_websockets import ForwardedWebSockets
from zmqio.relay.owner import OwnerRelay, Serve
from zmqio.relay.stream import DROP

__all__ = ["Relay", "join_nodes"]

log = structlog.get_logger(__name__)


class Relay:
    """The relay of one node. Is a `Foreign` for the engine, and the `PeerEvents` of the other nodes.

    Args:
        peers: the other nodes.
        serve: `Engine.handle`.
        options: of the engine.

    Attributes:
        counters: `polls_forwarded`, `polls_cancelled` and `streams_forwarded` of own clients; `polls_served`,
            `polls_taken_back`, `streams_served` and `failures` (bugs) for other nodes.
    """

    def __init__(self, peers: NodeMessenger, serve: Serve, options: EngineOptions) -> None:
        self.counters: Counter[str] = Counter()
        ids = count(1)
        self._peers = peers
        self._polls = ForwardedPolls(peers.send_to, ids, options.max_payload_bytes, self.counters)
        self._streams = ForwardedWebSockets(peers.send_to, ids, options.upgrade_timeout_s, self.counters)
        self._serving = OwnerRelay(peers.send_to, serve, self.counters)
        self._has_left = False

    @property
    def open_requests(self) -> int:
        """Polls and WebSockets that are under way, in both directions."""
        return len(self._polls) + len(self._streams) + len(self._serving)

    def leave(self) -> None:
        """This node stops: its clients are sent to other nodes, as far as they belong to those."""
        self._has_left = True
        self._polls.leave()
        self._streams.leave()

    async def close(self) -> None:
        """Stop serving other nodes."""
        await self._serving.close()

    # `Foreign`: for clients of this node.

    async def poll(self, sid: str, exchange: Exchange) -> Refusal | None:
        """Answer a GET or POST for the owner of `sid`; else what to answer."""
        owner = await self._owner_of(sid)
        if isinstance(owner, Refusal):
            return owner
        message = await self._polls.read(exchange)
        if isinstance(message, Refusal):
            return message
        owner = await self._owner_of(sid)  # it may have died while the client sent its body
        return owner if isinstance(owner, Refusal) else await self._polls.forward(owner, sid, message, exchange)

    async def websocket(
        self, sid: str, request: ClientRequest, scope: Mapping[str, Any], receive: Receive, send: Send
    ) -> Refusal | None:
        """Serve a WebSocket for the owner of `sid`, to its end; else what to answer to its opening request."""
        owner = await self._owner_of(sid)
        if isinstance(owner, Refusal):
            return owner
        return await self._streams.forward(owner, sid, request, scope, receive, send)

    async def _owner_of(self, sid: str) -> NodeId | Refusal:
        owner = await self._peers.find(tag_of(sid))
        if self._has_left:
            return SHUTTING_DOWN
        return unknown_sid(sid, NO_NODE) if owner is None else owner

    # `PeerEvents`.

    def received(self, sender: NodeId, message: r.RelayMessage) -> None:
        """Another node says something. Nothing of it is passed on to a third."""
        match message:
            case r.HttpResponse():
                self._polls.answered(sender, message)
            case r.StreamAccept() | r.StreamRefuse():
                self._verdict(sender, message)
            case r.HttpRequest():
                self._serving.poll(sender, message)
            case r.HttpCancel():
                self._serving.cancel(sender, message.request_id)
            case r.StreamOpen():
                self._serving.stream(sender, message)
            case r.StreamData() | r.StreamCredit() | r.StreamClose():
                self._stream_message(sender, message)

    def node_unreachable(self, node_id: NodeId, reason: str) -> None:
        """A node is gone: what was asked of it fails, and what it asked ends as if its clients had gone."""
        why = f"its node has gone ({reason})"
        self._polls.node_gone(node_id, why)
        self._streams.node_gone(node_id, why)
        self._serving.node_gone(node_id, why)

    def _verdict(self, sender: NodeId, message: r.StreamAccept | r.StreamRefuse) -> None:
        if not self._streams.answered(sender, message) and isinstance(message, r.StreamAccept):
            self._disown(sender, r.StreamClose(message.stream_id, False, DROP, "nobody waits for it"))

    def _stream_message(self, sender: NodeId, message: r.StreamData | r.StreamCredit | r.StreamClose) -> None:
        side = self._streams if message.down else self._serving
        if not side.came(sender, message) and isinstance(message, r.StreamData):
            close = r.StreamClose(message.stream_id, not message.down, DROP, "there is no such stream")
            self._disown(sender, close)

    def _disown(self, node_id: NodeId, close: r.StreamClose) -> None:
        """Tell another node of a stream that is only its own; a close is never answered."""
        try:
            self._peers.send_to(node_id, close)
        except BusError:
            log.debug("stream_not_disowned", node_id=node_id, stream_id=close.stream_id)


def join_nodes(factory: object, engine: Engine) -> Relay | None:
    """Let an engine serve sessions of other nodes, and theirs serve its own.

    Args:
        factory: of the adapters, started.
        engine: of the same node.

    Returns:
        None if the nodes of that adapter cannot speak one to one; they need a balancer that is sticky then.
    """
    if not isinstance(factory, NodeMessengerFactory):
        return None
    peers = factory.messenger()
    relay = Relay(peers, engine.handle, engine.options)
    engine.unknown_sessions.forwarder = relay
    peers.attach(relay)
    return relay
