"""The same chat on zmqio: `uvicorn zmqio_app:app --port 8002`."""

import os

import zmqio

io = zmqio.Server(zmqio.ZmqAdapter(os.environ.get("ZMQIO_ADAPTER", "tcp://127.0.0.1:5555")))
app = io.asgi()


@io.on("connect")
async def connect(socket):
    await socket.join("lobby")


@io.on("chat message")
async def chat_message(socket, text):
    await socket.to("lobby").emit("chat message", text)
