"""The chat application of the demo: every message names the node that it was sent from.

Knows a `zmqio.Server`; knows neither processes nor ports.
"""

import asyncio
import itertools
import random
import time
from collections import Counter, deque
from collections.abc import Sequence
from typing import Any

from zmqio.exceptions import BusError, RequestTimeoutError, ServerClosedError
from zmqio.logger import get_logger
from zmqio.server.broadcast import RemoteSocket
from zmqio.server.server import Server
from zmqio.server.socket import Socket

__all__ = ["Chat"]

log = get_logger(__name__)

LOBBY = "lobby"
HISTORY_MESSAGES = 20
MAX_TEXT_CHARACTERS = 2_000
MAX_NAME_CHARACTERS = 40
NAMES = (
    *("Ada", "Alan", "Barbara", "Donald", "Edsger", "Frances"),
    *("Grace", "Katherine", "Leslie", "Margaret", "Radia", "Tim"),
)
"""Names of people who have not chosen one."""


class Chat:
    """The part of the chat that runs on one node.

    Args:
        io: the server of this node.
        node: the node's name on the page, such as `A`.
        nodes: the names of all nodes.

    Attributes:
        broker_pid: process id of the broker, for the page; None if it is not known.
    """

    def __init__(self, io: Server, node: str, nodes: Sequence[str]) -> None:
        self._io = io
        self._node = node
        self._nodes = nodes
        self.broker_pid: int | None = None
        self._history: deque[dict[str, Any]] = deque(maxlen=HISTORY_MESSAGES)
        self._numbers = itertools.count(1)
        self._tasks: set[asyncio.Task[None]] = set()
        io.on("connect", self._on_connect)
        io.on("disconnect", self._on_disconnect)
        io.on("chat message", self._on_message)
        io.on("nickname", self._on_nickname)
        io.on_server_side("history")(self._history.append)
        io.on_node("joined")(self._on_node_change)
        io.on_node("left")(self._on_node_change)

    async def watch_bus(self, interval_s: float = 0.5) -> None:
        """Report changes of the bus state to this node's clients, until cancelled."""
        reported = None
        while True:
            if (state := self._bus_state()) != reported:
                reported = state
                await self._io.local.emit("bus", state)
            await asyncio.sleep(interval_s)

    async def _on_connect(self, socket: Socket, auth: Any) -> None:
        socket.data["node"] = self._node
        if not socket.recovered:
            wanted = _clean(auth.get("name") if isinstance(auth, dict) else None, MAX_NAME_CHARACTERS)
            socket.data["name"] = wanted or await self._free_name()
        welcome = {"node": self._node, "sid": socket.id, "name": socket.data["name"]}
        await socket.emit("welcome", {**welcome, "history": list(self._history)})
        await socket.emit("bus", self._bus_state())
        if not socket.recovered:
            await socket.join(LOBBY)
        self._start_task(self._send_presence())

    async def _on_disconnect(self, _socket: Socket, _reason: str) -> None:
        self._start_task(self._send_presence())

    async def _on_nickname(self, socket: Socket, name: Any) -> None:
        socket.data["name"] = _clean(name, MAX_NAME_CHARACTERS) or socket.data["name"]

    async def _on_message(self, socket: Socket, text: Any) -> dict[str, Any]:
        text = _clean(text, MAX_TEXT_CHARACTERS)
        if not text:
            return {"ok": False, "error": "a message must be text and not empty"}
        message = {
            "id": f"{self._io.node_id}-{next(self._numbers)}",
            "text": text,
            "from": socket.data["name"],
            "sid": socket.id,
            "node": self._node,
            "time": int(time.time() * 1000),
        }
        self._history.append(message)
        ack = {"ok": True, "node": self._node, "id": message["id"], "everywhere": True}
        try:
            await self._io.to(LOBBY).emit("chat message", message)
            await self._io.server_side_emit("history", message)
        except BusError as error:
            log.warning("message_not_published", node=self._node, error=str(error))
            ack["everywhere"] = False
        return ack

    async def _free_name(self) -> str:
        """Return a name that nobody in the lobby has."""
        taken = {other.data.get("name") for other in await self._people()}
        if free := [name for name in NAMES if name not in taken]:
            return random.choice(free)
        return next(name for number in itertools.count(1) if (name := f"Guest {number}") not in taken)

    async def _people(self) -> Sequence[RemoteSocket]:
        """The sockets in the lobby of all nodes; of this one while the others cannot be asked."""
        try:
            return await self._io.to(LOBBY).fetch_sockets()
        except (BusError, RequestTimeoutError):
            return await self._io.to(LOBBY).local.fetch_sockets()

    def _bus_state(self) -> dict[str, Any]:
        health = self._io.health()
        return {"ready": health.ready, "reasons": list(health.reasons), "broker_pid": self.broker_pid}

    async def _send_presence(self) -> None:
        if not self._io.running:
            return
        sockets = await self._people()
        nodes = Counter(dict.fromkeys(self._nodes, 0))
        nodes.update(str(socket.data.get("node", "?")) for socket in sockets)
        try:
            await self._io.to(LOBBY).emit("presence", {"count": len(sockets), "nodes": dict(nodes)})
        except (BusError, ServerClosedError):
            log.debug("presence_not_published", node=self._node)

    def _on_node_change(self, *_: Any) -> None:
        self._start_task(self._send_presence())

    def _start_task(self, coroutine: Any) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _clean(text: Any, max_characters: int) -> str:
    return text.strip()[:max_characters] if isinstance(text, str) else ""
