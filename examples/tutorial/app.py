"""A chat with rooms, names, history and recovery on any number of nodes: the result of docs/tutorial.md."""

from collections import defaultdict, deque
from pathlib import Path

import zmqio

io = zmqio.Server(recovery=True)  # the broker's address comes from ZMQIO_ADAPTER

HISTORY = 50
history = defaultdict(lambda: deque(maxlen=HISTORY))  # room -> its newest messages


@io.use
async def require_name(socket):
    auth = socket.handshake.auth
    name = auth.get("name") if isinstance(auth, dict) else None
    if not isinstance(name, str) or not 1 <= len(name) <= 20:
        raise zmqio.ConnectRefused("choose a name of 1 to 20 characters")
    socket.data["name"] = name


@io.on("enter")
async def enter(socket, room):
    for other in socket.rooms - {socket.id}:
        await socket.leave(other)
    await socket.join(room)  # from here on, messages of all nodes arrive
    return list(history[room])


@io.on("say")
async def say(socket, room, text):
    if room not in socket.rooms:
        return "enter the room first"
    message = {"name": socket.data["name"], "text": str(text)[:1000]}
    remember(room, message)
    await io.server_side_emit("remember", room, message)
    await io.to(room).emit("said", message)
    return "ok"


@io.on("who")
async def who(socket, room):
    return sorted(one.data["name"] for one in await io.in_(room).fetch_sockets())


@io.on_server_side("remember")
def remember(room, message):
    history[room].append(message)


@io.on_server_side("history")
def all_history():
    return {room: list(messages) for room, messages in history.items()}


@io.on_node("joined")
async def catch_up(node):
    if history:
        return
    try:
        answers = await io.server_side_emit_with_ack("history", timeout=2)
    except zmqio.RequestTimeoutError as error:
        answers = error.responses
    for known in answers:
        for room, messages in known.items():
            if not history[room]:
                history[room].extend(messages)


async def page(scope, receive, send):
    body = Path(__file__).with_name("index.html").read_bytes()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html")]})
    await send({"type": "http.response.body", "body": body})


app = io.asgi(page)
