"""A chat on python-socketio: `uvicorn app:app --port 8000`, with `zmqio broker` running."""

import os

import socketio

from zmqio.python_socketio import AsyncManager

manager = AsyncManager(os.environ.get("ZMQIO_ADAPTER", "tcp://127.0.0.1:5555"))
sio = socketio.AsyncServer(async_mode="asgi", client_manager=manager)
app = socketio.ASGIApp(sio, on_startup=manager.start, on_shutdown=manager.close)


@sio.event
async def connect(sid, environ):
    await sio.enter_room(sid, "lobby")


@sio.on("chat message")
async def chat_message(sid, text):
    await sio.emit("chat message", text, to="lobby", skip_sid=sid)
