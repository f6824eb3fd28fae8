"""The chat of examples/chat, with the settings of each node taken from the environment.

ZMQIO_ADAPTER is the broker address. ZMQIO_NODE_TAG has 4 characters, and this node's session ids begin with it.
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
