"""The relay of one node: carries client requests between the node that they reached and their session's owner.

With the relay, no balancer has to be sticky. Both halves are joined here. The ingress forwards requests of this
node's clients; the owner serves requests that other nodes have forwarded. A relayed request is never forwarded
again.
"""

from collections import Counter
from collections.abc import Mapping
from itertools import count
from typing import Any

from zmqio.cluster.unicast import NodeMessenger, NodeMessengerFactory
from zmqio.config import EngineOptions
from zmqio.engine.foreign_sessions import NO_NODE, unknown_sid
from zmqio.engine.handshake import SHUTTING_DOWN, ClientRequest, Refusal
from zmqio.engine.http_exchange import Exchange, Send
from zmqio.engine.long_poll import Receive
from zmqio.engine.server import Engine
from zmqio.exceptions import BusError
from zmqio.ids import NodeId, tag_of
from zmqio.logger import get_logger
from zmqio.protocol import relay_messages as r
from zmqio.relay.ingress_polls import IngressPolls
from zmqio.relay.ingress_websockets import IngressWebSockets
from zmqio.relay.owner import OwnerRelay, ServeAsgi
from zmqio.relay.stream import DROP

__all__ = ["Relay", "join_nodes"]

log = get_logger(__name__)


class Relay:
    """The relay of one node: the engine's `SessionForwarder`, and the `NodeMessageHandler` of the other nodes.

    Args:
        messenger: sends messages to the other nodes.
        serve: `Engine.handle`.
        options: the engine's options.

    Attributes:
        counters: `polls_forwarded`, `polls_cancelled`, `bodies_timed_out`, `bodies_displaced`,
            `websockets_forwarded` and `packets_rejected` for clients of this node; `polls_served`,
            `websockets_served`, `responses_returned` (to their session, because the other node stopped) and
            `requests_failed` (bugs) for other nodes.
    """

    def __init__(self, messenger: NodeMessenger, serve: ServeAsgi, options: EngineOptions) -> None:
        self.counters: Counter[str] = Counter()
        ids = count(1)
        send_to = messenger.send_to
        self._messenger = messenger
        self._polls = IngressPolls(send_to, ids, options, self.counters)
        self._websockets = IngressWebSockets(send_to, ids, options, self.counters)
        self._owner = OwnerRelay(send_to, serve, self.counters)
        self._is_stopping = False

    @property
    def open_requests(self) -> int:
        """Polling requests and WebSockets in progress, as ingress and as owner."""
        return len(self._polls) + len(self._websockets) + len(self._owner)

    def stop_ingress(self) -> None:
        """Stop forwarding: send waiting clients to other nodes, and refuse new requests with status 503."""
        self._is_stopping = True
        self._polls.stop()
        self._websockets.stop()

    async def close(self) -> None:
        """Stop serving other nodes."""
        await self._owner.close()

    # `SessionForwarder`, for clients of this node.

    async def poll(self, sid: str, exchange: Exchange) -> Refusal | None:
        """Forward a GET or POST to the owner of `sid` and write its response; return a refusal if that fails.

        Without an owner the body is not read. A POST looks the owner up again after its body, because the owner
        may have died in the meantime.
        """
        owner = await self._owner_of(sid)
        if isinstance(owner, Refusal):
            return owner
        message = await self._polls.read(owner, sid, exchange)
        if isinstance(message, Refusal):
            return message
        if message.method == "POST":
            owner = await self._owner_of(sid)
            if isinstance(owner, Refusal):
                return owner
        return await self._polls.forward(owner, sid, message, exchange)

    async def websocket(
        self, sid: str, request: ClientRequest, scope: Mapping[str, Any], receive: Receive, send: Send
    ) -> Refusal | None:
        """Forward a WebSocket to the owner of `sid` until it ends; return a refusal of its opening request."""
        owner = await self._owner_of(sid)
        if isinstance(owner, Refusal):
            return owner
        return await self._websockets.forward(owner, sid, request, scope, receive, send)

    async def _owner_of(self, sid: str) -> NodeId | Refusal:
        owner = await self._messenger.find(tag_of(sid))
        if self._is_stopping:
            return SHUTTING_DOWN
        return unknown_sid(sid, NO_NODE) if owner is None else owner

    # `NodeMessageHandler`.

    def received(self, sender: NodeId, message: r.RelayMessage) -> None:
        """Handle a message from another node."""
        match message:
            case r.HttpResponse():
                self._polls.responded(sender, message)
            case r.StreamAccept() | r.StreamRefuse():
                self._answered(sender, message)
            case r.HttpRequest():
                self._owner.serve_poll(sender, message)
            case r.HttpCancel():
                self._owner.cancel_poll(sender, message)
            case r.HttpDelivered():
                self._owner.delivered(sender, message)
            case r.StreamOpen():
                self._owner.serve_websocket(sender, message)
            case r.StreamData() | r.StreamCredit() | r.StreamClose():
                self._stream_message(sender, message)

    def node_unreachable(self, node_id: NodeId, reason: str) -> None:
        """Fail the requests sent to a node; end those received from it as if their clients had disconnected."""
        text = f"owner node is unreachable ({reason})"
        self._polls.node_unreachable(node_id, text)
        self._websockets.node_unreachable(node_id, text)
        self._owner.node_unreachable(node_id, f"ingress node is unreachable ({reason})")

    def _answered(self, owner: NodeId, message: r.StreamAccept | r.StreamRefuse) -> None:
        if not self._websockets.answered(owner, message) and isinstance(message, r.StreamAccept):
            self._close_unknown(owner, r.StreamClose(message.stream_id, False, DROP, "no such stream"))

    def _stream_message(self, sender: NodeId, message: r.StreamData | r.StreamCredit | r.StreamClose) -> None:
        half = self._websockets if message.down else self._owner
        if not half.received(sender, message) and isinstance(message, r.StreamData):
            close = r.StreamClose(message.stream_id, not message.down, DROP, "no such stream")
            self._close_unknown(sender, close)

    def _close_unknown(self, node_id: NodeId, close: r.StreamClose) -> None:
        """Close a stream that only the other node knows. A close is never answered, so this cannot loop."""
        try:
            self._messenger.send_to(node_id, close)
        except BusError:
            log.debug("stream_close_failed", node_id=node_id, stream_id=close.stream_id)


def join_nodes(factory: object, engine: Engine) -> Relay | None:
    """Let an engine serve sessions of other nodes, and other nodes serve its sessions.

    Args:
        factory: the node's adapter factory, started.
        engine: the node's engine.

    Returns:
        The relay; None if nodes with this adapter cannot send messages to each other. They need a sticky balancer.
    """
    if not isinstance(factory, NodeMessengerFactory):
        return None
    messenger = factory.messenger()
    relay = Relay(messenger, engine.handle, engine.options)
    engine.unknown_sessions.forwarder = relay
    messenger.attach(relay)
    return relay
