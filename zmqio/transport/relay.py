"""Carries requests of clients between the node that they have reached and the node that owns their session.

No balancer has to be sticky then. Both halves are here: what this node passes on (`Foreign`, for the engine), and
what others pass on to it, which goes to the engine like a request of its own clients, and never further.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from functools import partial
from itertools import count
from typing import Any

import structlog

from zmqio.adapter.peers import PeerFactory, Peers
from zmqio.config import EngineOptions
from zmqio.exceptions import BusError
from zmqio.ids import NodeId, tag_of
from zmqio.protocol import relay_messages as r
from zmqio.transport.asgi_http import Exchange, Send
from zmqio.transport.engine import Engine
from zmqio.transport.forwarded_polls import ForwardedPolls
from zmqio.transport.forwarded_streams import ForwardedStreams
from zmqio.transport.handshake import SHUTTING_DOWN, Refusal, Request
from zmqio.transport.parked import Receive
from zmqio.transport.recall import Recall
from zmqio.transport.relayed_poll import RelayedPoll
from zmqio.transport.relayed_stream import RelayedStream
from zmqio.transport.stream_end import DROP
from zmqio.transport.unknown_sid import NO_NODE, unknown_sid

__all__ = ["Relay", "join_nodes"]

log = structlog.get_logger(__name__)

Serve = Callable[[Mapping[str, Any], Receive, Send], Awaitable[None]]
_Key = tuple[NodeId, int]


class Relay:
    """The relay of one node. Is a `Foreign` for the engine, and the `PeerEvents` of the other nodes.

    Args:
        peers: the other nodes.
        serve: serves an ASGI scope: `Engine.handle`.
        options: of the engine.

    Attributes:
        counters: `polls_forwarded`, `polls_cancelled` and `streams_forwarded` of own clients; `polls_served`,
            `polls_taken_back` and `streams_served` for other nodes.
    """

    def __init__(self, peers: Peers, serve: Serve, options: EngineOptions) -> None:
        self.counters: Counter[str] = Counter()
        ids = count(1)
        self._peers = peers
        self._serve = serve
        self._polls = ForwardedPolls(peers.say, ids, options.max_payload_bytes, self.counters)
        self._streams = ForwardedStreams(peers.say, ids, options.upgrade_timeout_s, self.counters)
        self._served_polls: dict[_Key, RelayedPoll] = {}
        self._served_streams: dict[_Key, RelayedStream] = {}
        self._recall = Recall()
        self._jobs: set[asyncio.Task[None]] = set()
        self._has_left = False

    @property
    def open_requests(self) -> int:
        """Polls and WebSockets that are under way, in both directions."""
        return len(self._polls) + len(self._streams) + len(self._served_polls) + len(self._served_streams)

    def leave(self) -> None:
        """This node stops: its clients are sent to other nodes, as far as they belong to those."""
        self._has_left = True
        self._polls.leave()
        self._streams.leave()

    async def close(self) -> None:
        """Stop serving other nodes."""
        for job in tuple(self._jobs):
            job.cancel()
        await asyncio.gather(*self._jobs, return_exceptions=True)

    # `Foreign`: for clients of this node.

    async def poll(self, sid: str, exchange: Exchange) -> Refusal | None:
        """Answer a GET or POST for the owner of `sid`; else what to answer."""
        owner = await self._peers.find(tag_of(sid))
        if owner is None or self._has_left:
            return SHUTTING_DOWN if self._has_left else unknown_sid(sid, NO_NODE)
        return await self._polls.forward(owner, sid, exchange)

    async def websocket(
        self, sid: str, request: Request, scope: Mapping[str, Any], receive: Receive, send: Send
    ) -> Refusal | None:
        """Serve a WebSocket for the owner of `sid`, to its end; else what to answer to its opening request."""
        owner = await self._peers.find(tag_of(sid))
        if owner is None or self._has_left:
            return SHUTTING_DOWN if self._has_left else unknown_sid(sid, NO_NODE)
        return await self._streams.forward(owner, sid, request, scope, receive, send)

    # `PeerEvents`.

    def heard(self, sender: NodeId, message: r.RelayMessage) -> None:
        """Another node says something. Nothing of it is passed on to a third."""
        match message:
            case r.HttpResponse():
                self._polls.answered(sender, message)
            case r.StreamAccept() | r.StreamRefuse():
                self._verdict(sender, message)
            case r.HttpRequest():
                self._serve_poll(sender, message)
            case r.HttpCancel():
                self._cancel((sender, message.request_id))
            case r.StreamOpen():
                self._serve_stream(sender, message)
            case r.StreamData() | r.StreamCredit() | r.StreamClose():
                self._stream_message(sender, message)

    def node_gone(self, node_id: NodeId, reason: str) -> None:
        """A node is gone: what was asked of it fails, and what it asked ends as if its clients had gone."""
        why = f"its node has gone ({reason})"
        self._polls.node_gone(node_id, why)
        self._streams.node_gone(node_id, why)
        for key, poll in tuple(self._served_polls.items()):
            if key[0] == node_id:
                poll.cancel()
        for key, stream in tuple(self._served_streams.items()):
            if key[0] == node_id:
                stream.end.cut(why)

    # For other nodes.

    def _serve_poll(self, sender: NodeId, message: r.HttpRequest) -> None:
        key = sender, message.request_id
        self._served_polls[key] = RelayedPoll(message, partial(self._peers.say, sender))
        self.counters["polls_served"] += 1
        self._spawn(self._run_poll(key, self._served_polls[key]))

    async def _run_poll(self, key: _Key, poll: RelayedPoll) -> None:
        try:
            await self._serve(poll.scope, poll.receive, poll.send)
        finally:
            self._served_polls.pop(key, None)
            poll.finish()
            if poll.undo is not None:
                self._recall.keep(key, poll.undo, poll.body_bytes)

    def _cancel(self, key: _Key) -> None:
        poll = self._served_polls.get(key)
        if poll is not None and not poll.answered:
            poll.cancel()
        elif self._recall.recall(key):
            self.counters["polls_taken_back"] += 1

    def _serve_stream(self, sender: NodeId, message: r.StreamOpen) -> None:
        key = sender, message.stream_id
        self._served_streams[key] = RelayedStream(message, partial(self._peers.say, sender))
        self.counters["streams_served"] += 1
        self._spawn(self._run_stream(key, self._served_streams[key]))

    async def _run_stream(self, key: _Key, stream: RelayedStream) -> None:
        try:
            await self._serve(stream.scope, stream.receive, stream.send)
        finally:
            self._served_streams.pop(key, None)
            stream.finish()

    # Streams, whichever side this node is on.

    def _verdict(self, sender: NodeId, message: r.StreamAccept | r.StreamRefuse) -> None:
        if not self._streams.answered(sender, message) and isinstance(message, r.StreamAccept):
            self._disown(sender, r.StreamClose(message.stream_id, False, DROP, "nobody waits for it"))

    def _stream_message(self, sender: NodeId, message: r.StreamData | r.StreamCredit | r.StreamClose) -> None:
        if message.down:
            known = self._streams.came(sender, message)
        else:
            served = self._served_streams.get((sender, message.stream_id))
            known = served is not None
            if served is not None:
                served.end.came(message)
        if not known and isinstance(message, r.StreamData):
            close = r.StreamClose(message.stream_id, not message.down, DROP, "there is no such stream")
            self._disown(sender, close)

    def _disown(self, node_id: NodeId, close: r.StreamClose) -> None:
        """Tell another node of a stream that is only its own; a close is never answered."""
        try:
            self._peers.say(node_id, close)
        except BusError:
            log.debug("stream_not_disowned", node_id=node_id, stream_id=close.stream_id)

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        job = asyncio.get_running_loop().create_task(coroutine)
        self._jobs.add(job)
        job.add_done_callback(self._done)

    def _done(self, job: "asyncio.Task[None]") -> None:
        self._jobs.discard(job)
        if not job.cancelled() and (error := job.exception()) is not None:
            self.counters["failures"] += 1
            log.error("relayed_request_failed", exc_info=error)


def join_nodes(factory: object, engine: Engine) -> Relay | None:
    """Let an engine serve sessions of other nodes, and theirs serve its own.

    Args:
        factory: of the adapters, started.
        engine: of the same node.

    Returns:
        None if the nodes of that adapter cannot speak one to one; they need a balancer that is sticky then.
    """
    if not isinstance(factory, PeerFactory):
        return None
    peers = factory.peers()
    relay = Relay(peers, engine.handle, engine.options)
    engine.strangers.foreign = relay
    peers.attach(relay)
    return relay
