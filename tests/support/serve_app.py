"""The application that the tests of `zmqio serve` run: Socket.IO, and a few plain requests beside it.

`tests.support.serve_app:app` stands alone. In `tests.support.serve_mounted` it is mounted in a FastAPI app.
"""

import asyncio
import json
import os
import signal
import time
from typing import Any

import zmqio

__all__ = ["app", "io", "plain"]

io = zmqio.Server()


@io.on("connect")
async def connect(socket: zmqio.Socket, _auth: Any) -> None:
    """Put every client into one room."""
    await socket.join("lobby")


@io.on("whoami")
async def whoami(socket: zmqio.Socket) -> dict[str, Any]:
    """Acknowledge with the process that serves the client."""
    return {"pid": os.getpid(), "sid": socket.id}


@io.on("echo")
async def echo(_socket: zmqio.Socket, *args: Any) -> tuple[Any, ...]:
    """Acknowledge with the received arguments."""
    return args


@io.on("block")
async def block(_socket: zmqio.Socket) -> None:
    """Block the event loop without end."""
    time.sleep(1_000_000)  # noqa: ASYNC251


@io.on("say")
async def say(_socket: zmqio.Socket, *args: Any) -> str:
    """Emit to all clients."""
    await io.to("lobby").emit("said", *args)
    return "ok"


class _Plain:
    """Answers plain HTTP requests with JSON: the process, and the received data."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            raise NotImplementedError(scope["type"])
        size = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            size += len(message["body"])
            if not message["more_body"]:
                break
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        await self._act(path)
        query = scope["query_string"].decode()
        found = {"pid": os.getpid(), "size": size, "path": path, "query": query, "client": scope["client"]}
        body = json.dumps(found).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _act(self, path: str) -> None:
        if path == "/later":
            await asyncio.sleep(0.1)  # simulates a slow response
        elif path == "/die":
            os.kill(os.getpid(), signal.SIGKILL)


plain = _Plain()
app = io.asgi(plain)
