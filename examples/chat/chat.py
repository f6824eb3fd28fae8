"""A minimal chat. Nodes of this app share one lobby, whichever of them a client reaches."""

from pathlib import Path

import zmqio

io = zmqio.Server(adapter="tcp://127.0.0.1:5555")


@io.on("connect")
async def connect(socket, auth):  # raise zmqio.ConnectRefused("why") to refuse
    await socket.join("lobby")


@io.on("chat message")
async def chat_message(socket, text):  # the return value is the acknowledgement
    await io.to("lobby").emit("chat message", {"from": socket.id, "text": text})
    return "delivered"


async def page(scope, receive, send):  # any ASGI app can take this place: FastAPI, Starlette, Django
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html")]})
    await send({"type": "http.response.body", "body": Path(__file__).with_name("index.html").read_bytes()})


app = io.asgi(page)
