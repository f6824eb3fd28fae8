"""A node of the recovery ledger: it sends numbered events all the time, and recovers sessions.

`python -m tests.bench.recovery.node_app CONFIG FD`, as `tests.support.node_app`.
"""

import asyncio
import json
import socket as sockets
import sys
from itertools import count
from typing import Any

from tests.support.node_config import NodeConfig
from zmqio.hosting.server import serve
from zmqio.logs import configure_logs
from zmqio.server.server import Server
from zmqio.server.socket import Socket
from zmqio.zeromq.adapter import ZmqAdapter

ROOMS = 10


class LedgerApp:
    """The handlers and the sender of one node."""

    def __init__(self, io: Server, per_second: float) -> None:
        self._io = io
        self._pause_s = 1 / per_second
        io.on("connect", self.connect)

    async def connect(self, socket: Socket, auth: Any) -> None:
        """Join the client's rooms, and tell it whether it was recovered."""
        if not socket.recovered:
            await socket.join(f"room-{auth['number'] % ROOMS}")
        await socket.emit("state", socket.recovered, list(socket.recovery_gaps), self._io.node_id)

    async def send(self) -> None:
        """Send to everybody and to each room in turn, numbered for each of them."""
        node_id, io = self._io.node_id, self._io
        for number in count():
            await io.emit("n", node_id, "all", number)
            await io.to(f"room-{number % ROOMS}").emit("n", node_id, "room", number // ROOMS)
            if number % 50 == 0:
                await io.in_("room-1").sockets_join(f"extra-{number}")
            await asyncio.sleep(self._pause_s)


async def run(config: NodeConfig, listener: sockets.socket) -> None:
    """Serve until SIGTERM."""
    options = dict(config.options)
    per_second = options.pop("per_second")
    assert config.adapter is not None
    io = Server(ZmqAdapter(config.adapter, **config.bus), **options)
    app = LedgerApp(io, per_second)
    await io.start()
    sending = asyncio.create_task(app.send())
    try:
        await serve(io.asgi(_state_of(io)), listener=listener, before_shutdown=io.close)
    finally:
        sending.cancel()


def _state_of(io: Server) -> Any:
    """An ASGI app that shows whether the node knows the others."""

    async def state(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            raise NotImplementedError(scope["type"])
        found = {"ready": io.health().ready, "server_count": io.adapter.server_count() if io.running else 0}
        body = json.dumps(found).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return state


if __name__ == "__main__":
    node_config = NodeConfig.from_json(sys.argv[1])
    configure_logs("json", "warning", node=node_config.name)
    asyncio.run(run(node_config, sockets.socket(fileno=int(sys.argv[2]))))
