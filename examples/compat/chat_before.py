"""A chat on FastAPI and python-socketio: `uvicorn chat_before:app`."""

import socketio
from fastapi import FastAPI

sio = socketio.AsyncServer(async_mode="asgi", cors_allowed_origins="*")
api = FastAPI()
app = socketio.ASGIApp(sio, api)


@api.post("/announce")
async def announce(text: str):
    await sio.emit("announcement", text)
    return {"announced": text}


@sio.event
async def connect(sid, environ, auth):
    if not auth or "name" not in auth:
        raise socketio.exceptions.ConnectionRefusedError("a name is required")
    async with sio.session(sid) as session:
        session["name"] = auth["name"]
        session["browser"] = environ.get("HTTP_USER_AGENT", "")


@sio.on("whoami")
async def whoami(sid):
    return (await sio.get_session(sid))["name"]


class Chat(socketio.AsyncNamespace):
    async def on_connect(self, sid, environ, auth):
        await self.save_session(sid, {"name": auth["name"]})

    async def on_join(self, sid, room):
        await self.enter_room(sid, room)
        await self.emit("joined", (await self.get_session(sid), room), room=room, skip_sid=sid)
        return sorted(set(self.rooms(sid)) - {sid})

    async def on_say(self, sid, room, text):
        session = await self.get_session(sid)
        await self.emit("said", {"by": session["name"], "text": text}, room=room)

    async def on_quiz(self, sid, other):
        return await self.call("question", "What is 6 times 7?", to=other)

    async def on_disconnect(self, sid, reason):
        session = await self.get_session(sid)
        await self.emit("left", session["name"])


sio.register_namespace(Chat("/chat"))
