"""The chat of the demo: every message says which node it came from.

Knows a `zmqio.Server` and nothing of processes and ports.
"""

import asyncio
import itertools
import time
from collections import Counter, deque
from collections.abc import Sequence
from typing import Any

import structlog

from zmqio.exceptions import BusError, RequestTimeoutError, ServerClosedError
from zmqio.server.server import Server
from zmqio.server.socket import Socket

__all__ = ["Chat"]

log = structlog.get_logger(__name__)

LOBBY = "lobby"
HISTORY_MESSAGES = 20
MAX_TEXT_CHARACTERS = 2_000
MAX_NAME_CHARACTERS = 40


class Chat:
    """One node's half of the chat.

    Args:
        io: the server of this node.
        node: the node's name on the page, such as `A`.
        nodes: the names of all nodes.
    """

    def __init__(self, io: Server, node: str, nodes: Sequence[str]) -> None:
        self._io = io
        self._node = node
        self._nodes = nodes
        self._history: deque[dict[str, Any]] = deque(maxlen=HISTORY_MESSAGES)
        self._numbers = itertools.count(1)
        self._tasks: set[asyncio.Task[None]] = set()
        io.on("connect", self._connect)
        io.on("disconnect", self._disconnect)
        io.on("chat message", self._said)
        io.on("nickname", self._named)
        io.on_server_side("said")(self._history.append)
        io.on_node("joined")(self._node_changed)
        io.on_node("left")(self._node_changed)

    async def watch_bus(self, interval_s: float = 0.5) -> None:
        """Tell the clients of this node when it loses and finds the others; runs until it is cancelled."""
        told = None
        while True:
            health = self._io.health()
            if (health.ready, health.reasons) != told:
                told = (health.ready, health.reasons)
                await self._io.local.emit("bus", _bus(health.ready, health.reasons))
            await asyncio.sleep(interval_s)

    async def _connect(self, socket: Socket, auth: Any) -> None:
        socket.data["node"] = self._node
        socket.data["name"] = _name(auth.get("name") if isinstance(auth, dict) else None)
        health = self._io.health()
        await socket.emit("welcome", {"node": self._node, "sid": socket.id, "history": list(self._history)})
        await socket.emit("bus", _bus(health.ready, health.reasons))
        await socket.join(LOBBY)
        self._later(self._tell_presence())

    async def _disconnect(self, _socket: Socket, _reason: str) -> None:
        self._later(self._tell_presence())

    async def _named(self, socket: Socket, name: Any) -> None:
        socket.data["name"] = _name(name)

    async def _said(self, socket: Socket, text: Any) -> dict[str, Any]:
        text = _clean(text, MAX_TEXT_CHARACTERS)
        if not text:
            return {"ok": False, "error": "a message has to be text, and not empty"}
        message = {
            "id": f"{self._io.node_id}-{next(self._numbers)}",
            "text": text,
            "from": socket.data["name"],
            "sid": socket.id,
            "node": self._node,
            "time": int(time.time() * 1000),
        }
        self._history.append(message)
        answer = {"ok": True, "node": self._node, "id": message["id"], "everywhere": True}
        try:
            await self._io.to(LOBBY).emit("chat message", message)
            await self._io.server_side_emit("said", message)
        except BusError as error:
            log.warning("message_stayed_on_this_node", node=self._node, why=str(error))
            answer["everywhere"] = False
        return answer

    async def _tell_presence(self) -> None:
        if not self._io.running:
            return
        try:
            sockets = await self._io.to(LOBBY).fetch_sockets()
        except (BusError, RequestTimeoutError):
            sockets = await self._io.to(LOBBY).local.fetch_sockets()
        nodes = Counter(dict.fromkeys(self._nodes, 0))
        nodes.update(str(socket.data.get("node", "?")) for socket in sockets)
        try:
            await self._io.to(LOBBY).emit("presence", {"count": len(sockets), "nodes": dict(nodes)})
        except (BusError, ServerClosedError):
            log.debug("presence_stayed_on_this_node", node=self._node)

    def _node_changed(self, *_: Any) -> None:
        self._later(self._tell_presence())

    def _later(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _name(text: Any) -> str:
    return _clean(text, MAX_NAME_CHARACTERS) or "guest"


def _clean(text: Any, most: int) -> str:
    return text.strip()[:most] if isinstance(text, str) else ""


def _bus(ready: bool, reasons: tuple[str, ...]) -> dict[str, Any]:
    return {"ready": ready, "reasons": list(reasons)}
