"""A node under test: its clients join and leave rooms, and it emits on command.

`python -m tests.bench.soak.node_app CONFIG FD`, like `tests.support.node_app`. Its emitter index and ledger path
come from the environment, see `SoakNode`. GET `/test/` returns the state, POST runs one command: `{"op": "emit",
"per_second": ...}`, `{"op": "stop"}`, `{"op": "block", "s": ...}`.
"""

import asyncio
import json
import os
import socket as sockets
import sys
import time
from pathlib import Path
from typing import Any

from tests.bench.soak.emitting import Emitting
from tests.bench.soak.ledger import Ledger
from tests.support.node_config import NodeConfig
from zmqio.buses import make_adapter
from zmqio.hosting.event_loop import run
from zmqio.hosting.server import serve
from zmqio.logs import configure_logs
from zmqio.server.server import Server
from zmqio.server.socket import Socket

__all__ = ["CAPACITY_VARIABLE", "EMITTER_VARIABLE", "LEDGER_VARIABLE"]

EMITTER_VARIABLE = "SOAK_EMITTER"
LEDGER_VARIABLE = "SOAK_LEDGER"
CAPACITY_VARIABLE = "SOAK_CAPACITY"

GAPS_KEPT = 10_000
GAP_FACTS = ("node_id", "first", "last", "messages", "reason")
"""Fields of zmqio's `BusGap`."""


class SoakApp:
    """The handlers of one node, its state and its commands."""

    def __init__(self, io: Server) -> None:
        self._io = io
        ledger = Ledger(Path(os.environ[LEDGER_VARIABLE]), int(os.environ[CAPACITY_VARIABLE]))
        self.emitting = Emitting(io, int(os.environ[EMITTER_VARIABLE]), ledger)
        self.nodes_left: list[tuple[str, str, int]] = []
        self.gaps: list[dict[str, Any]] = []
        io.on_node("left")(self._node_left)
        io.on("join")(self.join)
        io.on("leave")(self.leave)
        if hasattr(io, "on_bus_gap"):  # older releases without gap reports can be tested too
            io.on_bus_gap(self._gap)

    async def join(self, socket: Socket, *rooms: str) -> None:
        """Join rooms. Acknowledged once messages of every node reach the client."""
        await socket.join(*rooms)

    async def leave(self, socket: Socket, *rooms: str) -> None:
        """Leave rooms."""
        await socket.leave(*rooms)

    def command(self, command: dict[str, Any]) -> None:
        """Run a command of the harness."""
        if command["op"] == "emit":
            self.emitting.start(command["per_second"])
        elif command["op"] == "stop":
            self.emitting.stop()
        elif command["op"] == "block":
            # After the response has been sent, so that the harness is not blocked too.
            asyncio.get_running_loop().call_later(0.05, time.sleep, command["s"])
        else:
            raise ValueError(command)

    def state(self) -> dict[str, Any]:
        """Return the state for the harness."""
        health = self._io.health()
        running = self._io.running
        return {
            "node_id": self._io.node_id if running else None,
            "server_count": self._io.server_count() if running else 0,
            "ready": health.ready,
            "health_reasons": list(health.reasons),
            "health_details": dict(health.details),
            "nodes_left": self.nodes_left,
            "gaps": self.gaps,
            "emitted": self.emitting.count,
            "errors": self.emitting.errors,
        }

    def _node_left(self, node_id: str, reason: str) -> None:
        self.nodes_left.append((node_id, reason, time.monotonic_ns()))

    def _gap(self, gap: Any) -> None:
        if len(self.gaps) < GAPS_KEPT:
            self.gaps.append({name: getattr(gap, name) for name in GAP_FACTS})


class _Control:
    """An ASGI app: GET returns the state, POST runs a command. It has no lifespan."""

    def __init__(self, app: SoakApp) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            raise NotImplementedError(scope["type"])
        if scope["method"] == "POST":
            self._app.command(json.loads((await receive())["body"]))
        body = json.dumps(self._app.state(), default=repr).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


async def _serve(config: NodeConfig, listener: sockets.socket) -> None:
    assert config.adapter is not None
    io = Server(make_adapter(config.adapter, **config.bus), **config.options)
    app = SoakApp(io)
    await io.start()
    await serve(io.asgi(_Control(app)), listener=listener, before_shutdown=io.close)


def main() -> None:
    """Run one node until SIGINT or SIGTERM."""
    config = NodeConfig.from_json(sys.argv[1])
    listener = sockets.socket(fileno=int(sys.argv[2]))
    configure_logs("json", "info", node=config.name)
    run(_serve(config, listener))


if __name__ == "__main__":
    main()
