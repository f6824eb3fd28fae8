"""Serves requests that other nodes have passed on, as if their clients had reached this node.

They go to the engine with an ASGI scope like any other, so that everything is as with a local client. Knows the
messages between nodes; must not know sessions.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Hashable, Mapping
from functools import partial
from typing import Any

import structlog

from zmqio.engine.http_exchange import Send
from zmqio.engine.long_poll import Receive
from zmqio.ids import NodeId
from zmqio.protocol.relay_messages import HttpRequest, StreamClose, StreamCredit, StreamData, StreamOpen
from zmqio.relay.ingress_polls import Say
from zmqio.relay.owner_poll import RelayedPoll
from zmqio.relay.owner_websocket import RelayedWebSocket

__all__ = ["OwnerRelay", "ResponseUndoLog", "Serve"]

log = structlog.get_logger(__name__)

ANSWERS_KEPT = 1_000
BYTES_KEPT = 8 << 20

Serve = Callable[[Mapping[str, Any], Receive, Send], Awaitable[None]]
"""Serves an ASGI scope."""

_Key = tuple[NodeId, int]


class OwnerRelay:
    """What one node serves for others.

    Args:
        say: sends a message to a node.
        serve: `Engine.handle`.
        counters: `polls_served`, `polls_taken_back`, `streams_served`, `failures`.
    """

    def __init__(self, say: Say, serve: Serve, counters: Counter[str]) -> None:
        self._say = say
        self._serve = serve
        self._counters = counters
        self._polls: dict[_Key, RelayedPoll] = {}
        self._streams: dict[_Key, RelayedWebSocket] = {}
        self._recall = ResponseUndoLog()
        self._jobs: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._polls) + len(self._streams)

    async def close(self) -> None:
        """Stop; what is under way ends unanswered."""
        for job in tuple(self._jobs):
            job.cancel()
        await asyncio.gather(*self._jobs, return_exceptions=True)

    def poll(self, sender: NodeId, message: HttpRequest) -> None:
        """Serve a polling request."""
        key = sender, message.request_id
        self._polls[key] = RelayedPoll(message, partial(self._say, sender))
        self._counters["polls_served"] += 1
        self._spawn(self._run_poll(key, self._polls[key]))

    def cancel(self, sender: NodeId, request_id: int) -> None:
        """The client of a polling request has gone; an answer that has left already is taken back."""
        poll = self._polls.get((sender, request_id))
        if poll is not None:
            poll.cancel()
        elif self._recall.recall((sender, request_id)):
            self._counters["polls_taken_back"] += 1

    def stream(self, sender: NodeId, message: StreamOpen) -> None:
        """Serve a WebSocket."""
        key = sender, message.stream_id
        self._streams[key] = RelayedWebSocket(message, partial(self._say, sender))
        self._counters["streams_served"] += 1
        self._spawn(self._run_stream(key, self._streams[key]))

    def came(self, sender: NodeId, message: StreamData | StreamCredit | StreamClose) -> bool:
        """A node says something about a WebSocket; False if there is no such."""
        stream = self._streams.get((sender, message.stream_id))
        if stream is not None:
            stream.end.came(message)
        return stream is not None

    def node_gone(self, node_id: NodeId, why: str) -> None:
        """Its clients have gone with it, as far as this node knows."""
        for (sender, _), poll in tuple(self._polls.items()):
            if sender == node_id:
                poll.cancel()
        for (sender, _), stream in tuple(self._streams.items()):
            if sender == node_id:
                stream.end.cut(why)

    async def _run_poll(self, key: _Key, poll: RelayedPoll) -> None:
        try:
            await self._serve(poll.scope, poll.receive, poll.send)
        finally:
            self._polls.pop(key, None)
            poll.finish()
            if poll.undo is not None:
                self._recall.keep(key, poll.undo, poll.body_bytes)

    async def _run_stream(self, key: _Key, stream: RelayedWebSocket) -> None:
        try:
            await self._serve(stream.scope, stream.receive, stream.send)
        finally:
            self._streams.pop(key, None)
            stream.finish()

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        job = asyncio.get_running_loop().create_task(coroutine)
        self._jobs.add(job)
        job.add_done_callback(self._done)

    def _done(self, job: "asyncio.Task[None]") -> None:
        self._jobs.discard(job)
        if not job.cancelled() and (error := job.exception()) is not None:
            self._counters["failures"] += 1
            log.error("relayed_request_failed", exc_info=error)


class ResponseUndoLog:
    """How each of the newest answers is taken back.

    A client that hangs up while its answer is under way between two nodes is told of within one way over the
    bus, so little has to be kept.

    Args:
        answers_kept: beyond it the oldest is forgotten, and stays lost as an answer does that a dying
            connection has swallowed.
        bytes_kept: sum of the answers' sizes; the same.
    """

    def __init__(self, answers_kept: int = ANSWERS_KEPT, bytes_kept: int = BYTES_KEPT) -> None:
        self._answers_kept = answers_kept
        self._bytes_kept = bytes_kept
        self._undos: dict[Hashable, tuple[Callable[[], None], int]] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._undos)

    def keep(self, key: Hashable, undo: Callable[[], None], size_bytes: int) -> None:
        """Remember an answer; `key` must be new."""
        self._undos[key] = undo, size_bytes
        self._bytes += size_bytes
        while len(self._undos) > self._answers_kept or self._bytes > self._bytes_kept:
            self._take(next(iter(self._undos)))

    def recall(self, key: Hashable) -> bool:
        """Take an answer back; False if it is not remembered (any more)."""
        if key not in self._undos:
            return False
        self._take(key)()
        return True

    def _take(self, key: Hashable) -> Callable[[], None]:
        undo, size_bytes = self._undos.pop(key)
        self._bytes -= size_bytes
        return undo
