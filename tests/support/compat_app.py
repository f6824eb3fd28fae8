"""A node that runs a server of `zmqio.compat`; commanded over HTTP as `psio_app`, to which it is the successor.

`python -m tests.support.compat_app CONFIG FD`. Its commands are `emit` and `flood`.
"""

import asyncio
import socket as sockets
import sys
from typing import Any

import uvicorn

from tests.support.node_config import NodeConfig
from tests.support.psio_app import Control, flood
from zmqio import compat as socketio
from zmqio.buses import make_adapter
from zmqio.logs import configure_logs

__all__ = ["CompatApp"]


class CompatApp:
    """One node: a client enters the rooms of its auth payload."""

    def __init__(self, sio: socketio.AsyncServer) -> None:
        self._sio = sio
        sio.on("connect", self.connect)

    async def connect(self, sid: str, environ: Any, auth: Any) -> None:
        """Let a client into its rooms."""
        for room in auth["rooms"]:
            await self._sio.enter_room(sid, room)

    async def run(self, command: dict[str, Any]) -> dict[str, Any]:
        """Run one command."""
        if command["op"] == "flood":
            await flood(self._sio, **command)
        else:
            await self._sio.emit(command["event"], tuple(command["args"]), to=command["to"])
        return {"value": None}

    def state(self) -> dict[str, Any]:
        """The state that tests inspect."""
        io = self._sio.io
        health = io.health()
        return {
            "node_id": io.node_id if io.running else None,
            "server_count": io.server_count() if health.ready else 0,
            "ready": health.ready,
            "health_details": dict(health.details),
        }


def main() -> None:
    """Run one node until SIGINT or SIGTERM."""
    config = NodeConfig.from_json(sys.argv[1])
    listener = sockets.socket(fileno=int(sys.argv[2]))
    configure_logs("json", "info", node=config.name)
    sio = socketio.AsyncServer(client_manager=make_adapter(config.adapter or "", **config.bus), **config.options)
    asgi = socketio.ASGIApp(sio, Control(CompatApp(sio)))
    server = uvicorn.Config(asgi, log_config=None, access_log=False, timeout_graceful_shutdown=2)
    asyncio.run(uvicorn.Server(server).serve(sockets=[listener]))


if __name__ == "__main__":
    main()
