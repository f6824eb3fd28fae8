"""A server with an admin page, for `zmqio serve`, and as a node process of the end-to-end tests.

`tests.support.admin_app:app`, or `python -m tests.support.admin_node CONFIG FD` as `tests.support.node_app`. The
environment: ADMIN_OPTIONS are the options of `io.admin` as JSON; ADMIN_UI is the folder of the page, which is
served at `/`. A GET of `/test/` gives the rooms of every socket of this process.
"""

import json
import os
import socket as sockets
import sys
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

import zmqio
from tests.support.node_config import NodeConfig
from zmqio.logs import configure_logs

__all__ = ["app", "io", "main"]

NAMESPACES = ("/", "/chat")

io = zmqio.Server()
io.admin(**json.loads(os.environ.get("ADMIN_OPTIONS", '{"insecure": true}')))


async def connect(socket: zmqio.Socket, auth: Any) -> None:
    """Put the client into the rooms that it asks for."""
    wishes = auth or {}
    socket.data["name"] = wishes.get("name", "")
    await socket.join(wishes.get("rooms", []))


async def say(socket: zmqio.Socket, room: str, *args: Any) -> str:
    """Emit to a room."""
    await io.of(socket.namespace).to(room).emit("said", *args)
    return "ok"


def rename(socket: zmqio.Socket, name: str) -> None:
    """Change the data of the socket."""
    socket.data["name"] = name


for name in NAMESPACES:
    io.of(name).on("connect", connect)
    io.of(name).on("rename", rename)
    io.of(name).on("say", say)


async def state(_request: Request) -> JSONResponse:
    """The rooms of every socket, by namespace and id."""
    found = {name: {sid: sorted(each.rooms) for sid, each in io.of(name).sockets.items()} for name in NAMESPACES}
    health = io.health()
    return JSONResponse({"rooms": found, "ready": health.ready, "server_count": io.server_count()})


def _routes() -> list[Any]:
    routes: list[Any] = [Route("/test/", state)]
    if folder := os.environ.get("ADMIN_UI"):
        routes.append(Mount("/", StaticFiles(directory=folder, html=True)))
    return routes


app = io.asgi(Starlette(routes=_routes()))


def main() -> None:
    """Run one node until SIGINT or SIGTERM."""
    config = NodeConfig.from_json(sys.argv[1])
    listener = sockets.socket(fileno=int(sys.argv[2]))
    configure_logs("json", "info", node=config.name)
    uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False)).run(sockets=[listener])
