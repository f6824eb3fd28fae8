"""The same chat on Flask-SocketIO: `PORT=8001 python flask_app.py`."""

import os

from flask import Flask
from flask_socketio import SocketIO, emit, join_room

from zmqio.python_socketio import Manager

app = Flask(__name__)
manager = Manager(os.environ.get("ZMQIO_ADAPTER", "tcp://127.0.0.1:5555"))
io = SocketIO(app, async_mode="threading", client_manager=manager)


@io.on("connect")
def connect():
    join_room("lobby")


@io.on("chat message")
def chat_message(text):
    emit("chat message", text, to="lobby", include_self=False)


if __name__ == "__main__":
    manager.start()
    io.run(app, port=int(os.environ.get("PORT", "8001")), allow_unsafe_werkzeug=True)
