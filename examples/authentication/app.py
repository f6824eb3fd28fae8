"""Three ways to know who connects: a token, a cookie, a header. A client that none of them names is refused."""

from http.cookies import SimpleCookie

import zmqio

USERS = {"token-of-ada": "ada", "session-of-bob": "bob", "key-of-eve": "eve"}  # stands for your database

io = zmqio.Server()


async def user_of(handshake):
    if isinstance(handshake.auth, dict) and isinstance(token := handshake.auth.get("token"), str):
        return USERS.get(token)
    if "cookie" in handshake.headers:
        cookie = SimpleCookie(handshake.headers["cookie"]).get("session")
        return USERS.get(cookie.value) if cookie else None
    return USERS.get(handshake.headers.get("x-api-key", ""))


@io.use
async def authenticate(socket):  # runs before the connect handler, in every namespace where it is registered
    user = await user_of(socket.handshake)
    if user is None:
        raise zmqio.ConnectRefused("unauthorized", {"hint": "send a token"})
    socket.data["user"] = user


@io.on("connect")
async def connect(socket, auth):
    await socket.join(f"user-{socket.data['user']}")  # all devices of a user


@io.on("who am i")
async def who_am_i(socket):
    return socket.data["user"]


app = io.asgi()
