"""Uses of `zmqio.compat` and of the managers for python-socketio that must type-check under `mypy --strict`."""

from typing import Any, assert_type

from zmqio import compat as socketio
from zmqio.python_socketio import AsyncManager, Manager

sio = socketio.AsyncServer(client_manager="tcp://127.0.0.1:5555", async_mode="asgi", cors_allowed_origins=[])
app = socketio.ASGIApp(sio, static_files={"/": "index.html", "/s": {"filename": "s", "content_type": "text/css"}})


@sio.event
async def connect(sid: str, environ: dict[str, Any], auth: Any) -> bool | None:
    if not auth:
        raise socketio.ConnectionRefusedError("no", {"code": 1})
    async with sio.session(sid) as session:
        session["name"] = environ["HTTP_USER_AGENT"]
    return None


@sio.event(namespace="/chat")
def plain(sid: str, text: str) -> str:
    return text


@sio.on("chat message")
async def chat_message(sid: str, text: str) -> Any:
    await sio.emit("news", (1, 2), room=["a", 7], skip_sid=sid, callback=print)
    await sio.enter_room(sid, "a")
    assert_type(sio.rooms(sid), list[str])
    try:
        return await sio.call("ask", to=sid, timeout=5)
    except socketio.exceptions.TimeoutError:
        return plain(sid, text)


sio.on("other", plain, "/chat")


class Chat(socketio.AsyncNamespace):
    async def on_say(self, sid: str, text: str) -> None:
        await self.emit("said", text, room="tea", skip_sid=sid)


sio.register_namespace(Chat("/chat"))
sio.instrument(auth={"username": "ops", "password": "a secret"}, mode="production")


async def operate(manager: AsyncManager, threaded: Manager) -> None:
    await manager.start()
    await manager.emit("news", {"a": 1}, room="lobby")
    found = await manager.cluster("/chat").to("lobby").fetch_sockets()
    print(found[0].rooms, manager.health().ready, threaded.run(threaded.cluster().rooms()))
    print(await sio.io.of("/chat").to("tea").fetch_sockets())
