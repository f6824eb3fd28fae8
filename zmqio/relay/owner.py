"""The owner's half of the relay: serves requests that other nodes have forwarded for sessions of this node.

Each request enters the engine with an ASGI scope, as if its client had reached this node. Knows the messages
between nodes; must not know sessions.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from functools import partial
from typing import Any

from zmqio.engine.http_exchange import AnswerFate, Send, SentAnswer
from zmqio.engine.long_poll import Receive
from zmqio.ids import NodeId
from zmqio.logger import get_logger
from zmqio.protocol.relay_messages import (
    HttpCancel,
    HttpDelivered,
    HttpRequest,
    StreamClose,
    StreamCredit,
    StreamData,
    StreamOpen,
)
from zmqio.relay.ingress_polls import SendTo
from zmqio.relay.owner_poll import OwnerPoll
from zmqio.relay.owner_websocket import OwnerWebSocket

__all__ = ["OwnerRelay", "SentAnswers", "ServeAsgi"]

log = get_logger(__name__)

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
        self._answers = SentAnswers()
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
        self._polls[key] = OwnerPoll(
            ingress, message, partial(self._send_to, ingress), partial(self._answers.add, key)
        )
        self._counters["polls_served"] += 1
        self._spawn(self._run_poll(key, self._polls[key]))

    def cancel_poll(self, ingress: NodeId, message: HttpCancel) -> None:
        """End a polling request whose client does not get its response, or take back the response."""
        key = ingress, message.request_id
        fate = AnswerFate.CLIENT_GONE if message.client_gone else AnswerFate.RETURNED
        if self._answers.settle(key, fate):
            self._counters["responses_returned"] += fate is AnswerFate.RETURNED
        elif (poll := self._polls.get(key)) is not None:
            poll.cancel(client_gone=message.client_gone)

    def delivered(self, ingress: NodeId, message: HttpDelivered) -> None:
        """Note that a response has reached the client."""
        self._answers.settle((ingress, message.request_id), AnswerFate.DELIVERED)

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
        self._answers.settle_all_of(node_id)

    async def _run_poll(self, key: _Key, poll: OwnerPoll) -> None:
        try:
            await self._serve(poll.scope, poll.receive, poll.send)
        finally:
            self._polls.pop(key, None)
            poll.finish()

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


class SentAnswers:
    """The answers that other nodes carry to their clients, until these nodes report what became of them.

    There is at most one for each session, because a session waits for the report before it answers again.

    Args:
        bytes_kept: most bytes of the bodies of these answers. Beyond this, the packets of the oldest are freed; if
            such an answer is not delivered, its session ends.
    """

    def __init__(self, bytes_kept: int = BYTES_KEPT) -> None:
        self._bytes_kept = bytes_kept
        self._answers: dict[_Key, SentAnswer] = {}
        self._sizes: dict[_Key, int] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._answers)

    def add(self, key: _Key, answer: SentAnswer, size_bytes: int) -> None:
        """Keep an answer; `key` must be new."""
        self._answers[key] = answer
        self._sizes[key] = size_bytes
        self._bytes += size_bytes
        while self._bytes > self._bytes_kept:
            oldest = next(iter(self._sizes))
            self._bytes -= self._sizes.pop(oldest)
            self._answers[oldest].forget_packets()

    def settle(self, key: _Key, fate: AnswerFate) -> bool:
        """Report the fate of an answer; False if it is unknown, or known before."""
        answer = self._answers.pop(key, None)
        if answer is None:
            return False
        self._bytes -= self._sizes.pop(key, 0)
        answer.settle(fate)
        return True

    def settle_all_of(self, node_id: NodeId) -> None:
        """Report that the fate of all answers that a node carries stays unknown."""
        for key in [key for key in self._answers if key[0] == node_id]:
            self.settle(key, AnswerFate.CARRIER_LOST)
