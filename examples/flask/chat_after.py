"""The same chat on several nodes: `ZMQIO_ADAPTER=tcp://127.0.0.1:5555 PORT=8000 python chat_after.py`."""

import os

from flask import Flask, request, session
from flask_socketio import ConnectionRefusedError, SocketIO, emit, join_room, rooms

from zmqio.python_socketio import Manager

app = Flask(__name__)
app.secret_key = "change this"
io = SocketIO(app, async_mode="threading", client_manager=Manager(os.environ["ZMQIO_ADAPTER"]))


@app.post("/announce")
def announce():
    io.emit("announcement", request.args["text"])
    return {"announced": request.args["text"]}


@io.on("connect")
def connect(auth):
    if not auth or "name" not in auth:
        raise ConnectionRefusedError("a name is required")
    session["name"] = auth["name"]


@io.on("join")
def join(room):
    join_room(room)
    emit("joined", (session["name"], room), to=room, include_self=False)
    return sorted(set(rooms()) - {request.sid})


@io.on("say")
def say(room, text):
    emit("said", {"by": session["name"], "text": text}, to=room)


@io.on("quiz")
def quiz(other):
    return io.call("question", "What is 6 times 7?", to=other)


@io.on("disconnect")
def disconnect():
    emit("left", session["name"], broadcast=True)


if __name__ == "__main__":
    io.run(app, port=int(os.environ.get("PORT", "8000")), allow_unsafe_werkzeug=True)
