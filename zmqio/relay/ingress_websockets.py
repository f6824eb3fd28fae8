"""WebSockets of clients whose session another node owns: opened there, and carried both ways.

Knows ASGI, the messages between nodes and the ends of streams; must not know sessions.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, TypeAlias

from zmqio.engine import websocket
from zmqio.engine.foreign_sessions import NO_BUS, unknown_sid
from zmqio.engine.handshake import BAD_REQUEST, ClientRequest, Refusal
from zmqio.engine.http_exchange import Send
from zmqio.engine.long_poll import Receive
from zmqio.engine.websocket_transports import CLOSE_HANDSHAKE_S, DirectWire, close_websocket, message_of
from zmqio.exceptions import BusError, ProtocolError
from zmqio.ids import NodeId
from zmqio.protocol.relay_messages import (
    StreamAccept,
    StreamClose,
    StreamCredit,
    StreamData,
    StreamOpen,
    StreamRefuse,
)
from zmqio.relay.flow_control import WINDOW_BYTES
from zmqio.relay.ingress_polls import Say
from zmqio.relay.scope import forwarded_headers
from zmqio.relay.stream import DROP, StreamEndpoint

__all__ = ["ForwardedWebSockets"]

GOING_AWAY = 1001
SILENT = "its node has not answered"

Verdict: TypeAlias = StreamAccept | StreamRefuse | Refusal


class ForwardedWebSockets:
    """The WebSockets that one node carries to others.

    Args:
        say: sends a message to a node.
        ids: gives stream ids.
        answer_limit_s: longest time that an owner may take to accept a WebSocket.
        counters: `streams_forwarded`.
    """

    def __init__(self, say: Say, ids: Iterator[int], answer_limit_s: float, counters: Counter[str]) -> None:
        self._say = say
        self._ids = ids
        self._answer_limit_s = answer_limit_s
        self._counters = counters
        self._streams: dict[tuple[NodeId, int], _Forwarded] = {}

    def __len__(self) -> int:
        return len(self._streams)

    async def forward(
        self,
        owner: NodeId,
        sid: str,
        request: ClientRequest,
        scope: Mapping[str, Any],
        receive: Receive,
        send: Send,
    ) -> Refusal | None:
        """Serve a WebSocket to its end; returns what to answer to its opening request if `owner` cannot."""
        stream_id = next(self._ids)
        stream = self._streams[owner, stream_id] = _Forwarded(stream_id, owner, sid, self._say)
        self._counters["streams_forwarded"] += 1
        try:
            verdict = await self._open(stream, request)
            if isinstance(verdict, Refusal):
                return verdict
            if isinstance(verdict, StreamRefuse):
                stream.end.cut("the owner has refused it")
                await websocket.answer(verdict.status, verdict.body, scope, receive, send)
            elif await websocket.accept(receive, send):
                stream.end.widen(verdict.window_bytes)
                await stream.run(scope, receive, send)
            return None
        finally:
            del self._streams[owner, stream_id]
            stream.end.close(GOING_AWAY)

    def answered(self, owner: NodeId, verdict: StreamAccept | StreamRefuse) -> bool:
        """A node answers an opening request; False if there is no such stream."""
        stream = self._streams.get((owner, verdict.stream_id))
        if stream is not None:
            stream.decide(verdict)
        return stream is not None

    def came(self, owner: NodeId, message: StreamData | StreamCredit | StreamClose) -> bool:
        """A node says something about a stream; False if there is no such."""
        stream = self._streams.get((owner, message.stream_id))
        if stream is not None:
            stream.end.came(message)
        return stream is not None

    def node_gone(self, node_id: NodeId, why: str) -> None:
        """The WebSockets to that node are closed."""
        for (owner, _), stream in tuple(self._streams.items()):
            if owner == node_id:
                stream.decide(unknown_sid(stream.sid, why))
                stream.end.cut(why)

    def leave(self) -> None:
        """This node stops: both sides hear that it goes away."""
        for stream in tuple(self._streams.values()):
            stream.end.close(GOING_AWAY)

    async def _open(self, stream: "_Forwarded", request: ClientRequest) -> Verdict:
        head = request.query, forwarded_headers(request), request.address, request.secure
        try:
            self._say(stream.owner, StreamOpen(stream.id, *head, WINDOW_BYTES))
        except BusError:
            return unknown_sid(stream.sid, NO_BUS, 503)
        except ProtocolError:
            return BAD_REQUEST
        return await stream.verdict(self._answer_limit_s)


class _Forwarded:
    """One WebSocket, at the node that its client has reached."""

    def __init__(self, stream_id: int, owner: NodeId, sid: str, say: Say) -> None:
        self.id = stream_id
        self.owner = owner
        self.sid = sid
        self.end = StreamEndpoint(
            stream_id, down=False, say=lambda message: say(owner, message), when_closed=self._let_go_soon
        )
        self._verdict: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()
        self._limit: asyncio.Timeout | None = None

    def decide(self, verdict: Verdict) -> None:
        """The owner has answered, or never will."""
        if not self._verdict.done():
            self._verdict.set_result(verdict)

    async def verdict(self, limit_s: float) -> Verdict:
        """What the owner answers; unknown after `limit_s`."""
        await asyncio.wait((self._verdict,), timeout=limit_s)
        return self._verdict.result() if self._verdict.done() else unknown_sid(self.sid, SILENT, 504)

    async def run(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """Carry messages both ways until the client has gone; drop one that does not read."""
        wire: DirectWire | None = (scope.get("extensions") or {}).get(websocket.EXTENSION)
        writing = asyncio.get_running_loop().create_task(self._write(send))
        try:
            async with asyncio.timeout(None) as self._limit:
                if self.end.code is not None:
                    self._let_go_soon()
                await self._read(receive)
        except TimeoutError:
            if wire is not None:
                wire.abort()
        finally:
            self._limit = None
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)

    async def _read(self, receive: Receive) -> None:
        while True:
            message = await receive()
            if message["type"] != "websocket.receive":
                self.end.close(message.get("code") or GOING_AWAY)
                return
            with suppress(ConnectionError):  # closed by the owner: the client will hear it
                await self.end.push(websocket.data_of(message))

    async def _write(self, send: Send) -> None:
        try:
            while (frame := await self.end.take()) is not None:
                await send(message_of(frame))
        except (OSError, RuntimeError):
            return  # the client has gone: its `receive` says so
        code = self.end.code
        if code is not None and code != DROP:
            await close_websocket(send, code)

    def _let_go_soon(self) -> None:
        """The stream is closed: the client has some time to take what is left."""
        if self._limit is not None:
            delay_s = 0.0 if self.end.code == DROP else CLOSE_HANDSHAKE_S
            self._limit.reschedule(asyncio.get_running_loop().time() + delay_s)
