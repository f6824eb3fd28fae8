"""The owner's half of the relay: serves requests that other nodes have forwarded for sessions of this node.

Each request enters the engine with an ASGI scope, as if its client had reached this node. Knows the messages
between nodes; must not know sessions.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Hashable, Mapping
from functools import partial
from typing import Any

from zmqio.engine.http_exchange import Send
from zmqio.engine.long_poll import Receive
from zmqio.ids import NodeId
from zmqio.logger import get_logger
from zmqio.protocol.relay_messages import (
    HttpCancel,
    HttpRequest,
    StreamClose,
    StreamCredit,
    StreamData,
    StreamOpen,
)
from zmqio.relay.ingress_polls import SendTo
from zmqio.relay.owner_poll import OwnerPoll
from zmqio.relay.owner_websocket import OwnerWebSocket

__all__ = ["OwnerRelay", "ResponseUndoLog", "ServeAsgi"]

log = get_logger(__name__)

RESPONSES_KEPT = 1_000
BYTES_KEPT = 8 << 20

ServeAsgi = Callable[[Mapping[str, Any], Receive, Send], Awaitable[None]]
"""Serves one ASGI scope."""

_Key = tuple[NodeId, int]


class OwnerRelay:
    """The requests that one node serves for other nodes.

    Args:
        send_to: sends a message to a node.
        serve: `Engine.handle`.
        counters: counts `polls_served`, `websockets_served`, `responses_returned` and `requests_failed`.
    """

    def __init__(self, send_to: SendTo, serve: ServeAsgi, counters: Counter[str]) -> None:
        self._send_to = send_to
        self._serve = serve
        self._counters = counters
        self._polls: dict[_Key, OwnerPoll] = {}
        self._websockets: dict[_Key, OwnerWebSocket] = {}
        self._undo_log = ResponseUndoLog()
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._polls) + len(self._websockets)

    async def close(self) -> None:
        """Stop. Requests in progress end without a response."""
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def serve_poll(self, ingress: NodeId, message: HttpRequest) -> None:
        """Serve a polling request."""
        key = ingress, message.request_id
        self._polls[key] = OwnerPoll(ingress, message, partial(self._send_to, ingress))
        self._counters["polls_served"] += 1
        self._spawn(self._run_poll(key, self._polls[key]))

    def cancel_poll(self, ingress: NodeId, message: HttpCancel) -> None:
        """End a polling request whose client does not get its response, or take back the response."""
        key = ingress, message.request_id
        poll = self._polls.get(key)
        if poll is not None:
            poll.cancel(client_gone=message.client_gone)
        elif self._undo_log.undo(key, client_gone=message.client_gone) and not message.client_gone:
            self._counters["responses_returned"] += 1

    def serve_websocket(self, ingress: NodeId, message: StreamOpen) -> None:
        """Serve a WebSocket."""
        key = ingress, message.stream_id
        self._websockets[key] = OwnerWebSocket(message, partial(self._send_to, ingress))
        self._counters["websockets_served"] += 1
        self._spawn(self._run_websocket(key, self._websockets[key]))

    def received(self, ingress: NodeId, message: StreamData | StreamCredit | StreamClose) -> bool:
        """Handle a message for a WebSocket; False if there is no such WebSocket."""
        websocket = self._websockets.get((ingress, message.stream_id))
        if websocket is not None:
            websocket.stream.received(message)
        return websocket is not None

    def node_unreachable(self, node_id: NodeId, reason: str) -> None:
        """End all requests from a node, as if their clients had disconnected."""
        for (ingress, _), poll in tuple(self._polls.items()):
            if ingress == node_id:
                poll.cancel(client_gone=False)
        for (ingress, _), websocket in tuple(self._websockets.items()):
            if ingress == node_id:
                websocket.stream.abort(reason)

    async def _run_poll(self, key: _Key, poll: OwnerPoll) -> None:
        try:
            await self._serve(poll.scope, poll.receive, poll.send)
        finally:
            self._polls.pop(key, None)
            poll.finish()
            if poll.undo is not None:
                self._undo_log.add(key, poll.undo, poll.body_bytes)

    async def _run_websocket(self, key: _Key, websocket: OwnerWebSocket) -> None:
        try:
            await self._serve(websocket.scope, websocket.receive, websocket.send)
        finally:
            self._websockets.pop(key, None)
            websocket.finish()

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._counters["requests_failed"] += 1
            log.error("relayed_request_failed", exc_info=error)


class ResponseUndoLog:
    """Undo functions of recent responses: each is called if its response does not reach the client.

    A cancel arrives within one trip over the bus after the response was sent, so few responses need to be kept.

    Args:
        responses_kept: most responses kept. Beyond this the oldest is dropped; it is then lost, like any response
            written to a dying connection.
        bytes_kept: most bytes of the bodies of these responses. Beyond this, the oldest is dropped as well.
    """

    def __init__(self, responses_kept: int = RESPONSES_KEPT, bytes_kept: int = BYTES_KEPT) -> None:
        self._responses_kept = responses_kept
        self._bytes_kept = bytes_kept
        self._undos: dict[Hashable, tuple[Callable[[bool], None], int]] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._undos)

    def add(self, key: Hashable, undo: Callable[[bool], None], size_bytes: int) -> None:
        """Keep the undo of a response; `key` must be new."""
        self._undos[key] = undo, size_bytes
        self._bytes += size_bytes
        while len(self._undos) > self._responses_kept or self._bytes > self._bytes_kept:
            self._pop(next(iter(self._undos)))

    def undo(self, key: Hashable, *, client_gone: bool) -> bool:
        """Take back a response; False if it was not kept, dropped, or taken back before."""
        if key not in self._undos:
            return False
        self._pop(key)(client_gone)
        return True

    def _pop(self, key: Hashable) -> Callable[[bool], None]:
        undo, size_bytes = self._undos.pop(key)
        self._bytes -= size_bytes
        return undo
