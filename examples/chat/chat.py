"""A minimal chat. Start `zmqio broker`, then this app on two ports: both share one lobby.

uvicorn chat:app --port 8000 --ws zmqio.uvicorn:WebSocketProtocol --http zmqio.uvicorn:HttpProtocol
uvicorn chat:app --port 8001 --ws zmqio.uvicorn:WebSocketProtocol --http zmqio.uvicorn:HttpProtocol
"""

from pathlib import Path

import zmqio

PAGE = (Path(__file__).parent / "index.html").read_bytes()

io = zmqio.Server(adapter="tcp://127.0.0.1:5555")


@io.on("connect")
async def connect(socket: zmqio.Socket, auth: object) -> None:
    await socket.join("lobby")


@io.on("chat message")
async def chat_message(socket: zmqio.Socket, text: str) -> str:
    await io.to("lobby").emit("chat message", {"from": socket.id, "text": text})
    return "delivered"


async def page(scope, receive, send):  # type: ignore[no-untyped-def]
    """Serve the page. Any ASGI app can take this place: FastAPI, Starlette, Django."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html")]})
    await send({"type": "http.response.body", "body": PAGE})


app = io.asgi(page)
