"""The application for tests of sessions: it counts the messages of each client and reports the count in each
answer.

`python -m tests.support.session_app CONFIG FD` runs one node, as `tests.support.node_app` does.
"""

import json
import os
import socket as sockets
import sys
from typing import Any

from tests.support.node_config import NodeConfig
from zmqio.buses import make_adapter
from zmqio.hosting.event_loop import run
from zmqio.hosting.server import serve
from zmqio.logs import configure_logs
from zmqio.server.server import Server
from zmqio.server.socket import Socket

__all__ = ["make_app"]


class _Tally:
    """The numbers that one connection has sent: consecutive from any start, each once and in order."""

    def __init__(self) -> None:
        self.next: int | None = None
        self.doubled = 0
        self.missing: set[int] = set()
        self.disorder = 0

    def add(self, number: int) -> None:
        expected = number if self.next is None else self.next
        if number >= expected:
            self.missing.update(range(expected, number))
            self.next = number + 1
        elif number in self.missing:
            self.missing.discard(number)
            self.disorder += 1
        else:
            self.doubled += 1


async def connect(socket: Socket, auth: dict[str, str]) -> None:
    """Join the room of the pair, then report the process id."""
    socket.data["tally"] = _Tally()
    socket.data["pair"] = auth["pair"]
    await socket.join(auth["pair"])
    await socket.emit("welcome", os.getpid())


async def say(socket: Socket, number: int) -> list[int]:
    """Pass a number on to the other one of the pair; gives it back, with doubled, missing and late ones so far."""
    tally: _Tally = socket.data["tally"]
    tally.add(number)
    await socket.to(socket.data["pair"]).emit("received", socket.id, number)
    return [number, tally.doubled, len(tally.missing), tally.disorder]


def make_app(io: Server) -> Any:
    """The ASGI app; `/test/` reports whether the node is ready, and the number of nodes."""
    io.on("connect", connect)
    io.on("say", say)

    async def look(scope: Any, _receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            raise NotImplementedError(scope["type"])
        count = io.adapter.server_count() if io.running else 0
        body = json.dumps({"ready": io.health().ready, "server_count": count}).encode()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})

    return io.asgi(look)


async def _serve(config: NodeConfig, listener: sockets.socket) -> None:
    adapter = None if config.adapter is None else make_adapter(config.adapter, **config.bus)
    io = Server(adapter, **config.options)
    app = make_app(io)
    await io.start()
    await serve(app, listener=listener, before_shutdown=io.close)


def main() -> None:
    """Run one node until SIGINT or SIGTERM."""
    config = NodeConfig.from_json(sys.argv[1])
    listener = sockets.socket(fileno=int(sys.argv[2]))
    configure_logs("json", "info", node=config.name)
    run(_serve(config, listener))


if __name__ == "__main__":
    main()
