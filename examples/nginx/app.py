"""The chat of examples/chat, with what is different in each node taken from the environment.

ZMQIO_ADAPTER names the broker, ZMQIO_NODE_TAG the 4 characters with which this node's session ids begin.
"""

from pathlib import Path

import zmqio

PAGE = (Path(__file__).parent.parent / "chat" / "index.html").read_bytes()

io = zmqio.Server()


@io.on("connect")
async def connect(socket: zmqio.Socket, auth: object) -> None:
    await socket.join("lobby")


@io.on("chat message")
async def chat_message(socket: zmqio.Socket, text: str) -> str:
    await io.to("lobby").emit("chat message", {"from": socket.id, "text": text})
    return "delivered"


async def page(scope, receive, send):  # type: ignore[no-untyped-def]
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html")]})
    await send({"type": "http.response.body", "body": PAGE})


app = io.asgi(page)
