"""WebSockets at the node that they reached, forwarded to the owner of their session in both directions.

Knows ASGI, the messages between nodes and the ends of streams; must not know sessions.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any, TypeAlias

from zmqio.config import EngineOptions
from zmqio.engine import websocket
from zmqio.engine.foreign_sessions import NO_BUS, unknown_sid
from zmqio.engine.handshake import BAD_REQUEST, ClientRequest, Refusal
from zmqio.engine.http_exchange import Send
from zmqio.engine.long_poll import Receive
from zmqio.engine.packets import is_larger
from zmqio.engine.session import TOO_LARGE
from zmqio.engine.websocket_transports import CLOSE_HANDSHAKE_S, DirectWire, close_websocket, message_of
from zmqio.exceptions import BusError, ProtocolError
from zmqio.ids import NodeId
from zmqio.log_limit import LimitedLog
from zmqio.logger import get_logger
from zmqio.protocol.relay_messages import (
    StreamAccept,
    StreamClose,
    StreamCredit,
    StreamData,
    StreamOpen,
    StreamRefuse,
)
from zmqio.relay.flow_control import WINDOW_BYTES
from zmqio.relay.ingress_polls import SendTo
from zmqio.relay.scope import forwarded_headers
from zmqio.relay.stream import DROP, StreamEndpoint

__all__ = ["IngressWebSockets"]

log = get_logger(__name__)

GOING_AWAY = 1001
NOT_ANSWERED = "owner node has not answered"

Verdict: TypeAlias = StreamAccept | StreamRefuse | Refusal


class IngressWebSockets:
    """The WebSockets that one node forwards to other nodes.

    Args:
        send_to: sends a message to a node.
        ids: generates stream ids.
        options: the engine's options. An owner may take `upgrade_timeout_s` to accept a WebSocket; beyond it the
            client gets status 504. A message from the client may have `max_payload_bytes`; beyond it the WebSocket
            is closed with 1009.
        counters: counts `websockets_forwarded` and `packets_rejected`.
    """

    def __init__(
        self, send_to: SendTo, ids: Iterator[int], options: EngineOptions, counters: Counter[str]
    ) -> None:
        self._send_to = send_to
        self._ids = ids
        self._options = options
        self._counters = counters
        self._notices = LimitedLog(log)
        self._websockets: dict[tuple[NodeId, int], _IngressWebSocket] = {}

    def __len__(self) -> int:
        return len(self._websockets)

    async def forward(
        self,
        owner: NodeId,
        sid: str,
        request: ClientRequest,
        scope: Mapping[str, Any],
        receive: Receive,
        send: Send,
    ) -> Refusal | None:
        """Serve a WebSocket until it ends; return a refusal of its opening request if `owner` cannot serve it."""
        stream_id = next(self._ids)
        forwarded = self._websockets[owner, stream_id] = _IngressWebSocket(
            stream_id, owner, sid, self._send_to, self._options.max_payload_bytes, self._note_too_large
        )
        self._counters["websockets_forwarded"] += 1
        try:
            verdict = await self._open(forwarded, request)
            if isinstance(verdict, Refusal):
                return verdict
            if isinstance(verdict, StreamRefuse):
                forwarded.stream.abort("refused by the owner node")
                await websocket.answer(verdict.status, verdict.body, scope, receive, send)
            elif await websocket.accept(scope, receive, send, self._options.subprotocols):
                forwarded.stream.set_send_window(verdict.window_bytes)
                await forwarded.run(scope, receive, send)
            return None
        finally:
            del self._websockets[owner, stream_id]
            forwarded.stream.close(GOING_AWAY)

    def answered(self, owner: NodeId, verdict: StreamAccept | StreamRefuse) -> bool:
        """Handle the owner's answer to an opening request; False if there is no such WebSocket."""
        forwarded = self._websockets.get((owner, verdict.stream_id))
        if forwarded is not None:
            forwarded.decide(verdict)
        return forwarded is not None

    def received(self, owner: NodeId, message: StreamData | StreamCredit | StreamClose) -> bool:
        """Handle a message for a WebSocket; False if there is no such WebSocket."""
        forwarded = self._websockets.get((owner, message.stream_id))
        if forwarded is not None:
            forwarded.stream.received(message)
        return forwarded is not None

    def node_unreachable(self, node_id: NodeId, reason: str) -> None:
        """Close the WebSockets forwarded to that node."""
        for (owner, _), forwarded in tuple(self._websockets.items()):
            if owner == node_id:
                forwarded.decide(unknown_sid(forwarded.sid, reason))
                forwarded.stream.abort(reason)

    def stop(self) -> None:
        """Close all WebSockets with 1001 (going away), at the clients and at the owners."""
        for forwarded in tuple(self._websockets.values()):
            forwarded.stream.close(GOING_AWAY)

    async def _open(self, forwarded: "_IngressWebSocket", request: ClientRequest) -> Verdict:
        head = request.query, forwarded_headers(request), request.address, request.secure
        try:
            self._send_to(forwarded.owner, StreamOpen(forwarded.id, *head, WINDOW_BYTES))
        except BusError:
            return unknown_sid(forwarded.sid, NO_BUS, 503)
        except ProtocolError:
            return BAD_REQUEST
        return await forwarded.verdict(self._options.upgrade_timeout_s)

    def _note_too_large(self, sid: str) -> None:
        self._counters["packets_rejected"] += 1
        limit = self._options.max_payload_bytes
        self._notices.info("packet_rejected", sid=sid, limit=limit, option="max_payload_bytes")


class _IngressWebSocket:
    """One WebSocket at the node that its client has reached."""

    def __init__(
        self,
        stream_id: int,
        owner: NodeId,
        sid: str,
        send_to: SendTo,
        max_bytes: int,
        note_too_large: Callable[[str], None],
    ) -> None:
        self.id = stream_id
        self.owner = owner
        self.sid = sid
        self._max_bytes = max_bytes
        self._note_too_large = note_too_large
        self.stream = StreamEndpoint(
            stream_id,
            down=False,
            send_message=lambda message: send_to(owner, message),
            on_close=self._limit_client,
        )
        self._verdict: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()
        self._limit: asyncio.Timeout | None = None

    def decide(self, verdict: Verdict) -> None:
        """Set the verdict on the opening request; only the first one counts."""
        if not self._verdict.done():
            self._verdict.set_result(verdict)

    async def verdict(self, limit_s: float) -> Verdict:
        """Wait for the verdict on the opening request; a refusal with status 504 after `limit_s`."""
        await asyncio.wait((self._verdict,), timeout=limit_s)
        return self._verdict.result() if self._verdict.done() else unknown_sid(self.sid, NOT_ANSWERED, 504)

    async def run(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        """Forward messages both ways until the client disconnects; drop a client that stops reading."""
        wire: DirectWire | None = (scope.get("extensions") or {}).get(websocket.EXTENSION)
        writing = asyncio.get_running_loop().create_task(self._write(send))
        try:
            async with asyncio.timeout(None) as self._limit:
                if self.stream.close_code is not None:
                    self._limit_client()
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
                if websocket.VIOLATION in message and message["code"] == TOO_LARGE:
                    self._note_too_large(self.sid)
                self.stream.close(message.get("code") or GOING_AWAY)
                return
            data = websocket.data_of(message)
            if is_larger(data, self._max_bytes):
                self._note_too_large(self.sid)
                self.stream.close(TOO_LARGE)
            with suppress(ConnectionError):  # closed: the client is about to get the close
                await self.stream.send(data)

    async def _write(self, send: Send) -> None:
        try:
            while (frame := await self.stream.receive()) is not None:
                await send(message_of(frame))
        except (OSError, RuntimeError):
            return  # the client has disconnected; `_read` detects that through `receive`
        code = self.stream.close_code
        if code is not None and code != DROP:
            await close_websocket(send, code)

    def _limit_client(self) -> None:
        """Limit the time that the client has to read the rest, now that the stream is closed."""
        if self._limit is not None:
            delay_s = 0.0 if self.stream.close_code == DROP else CLOSE_HANDSHAKE_S
            self._limit.reschedule(asyncio.get_running_loop().time() + delay_s)
