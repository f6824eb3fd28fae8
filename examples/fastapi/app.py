"""Socket.IO in a FastAPI app: `uvicorn app:app`. FastAPI's own lifespan, routes and docs keep working."""

from fastapi import FastAPI

import zmqio

io = zmqio.Server()  # reads the broker address from ZMQIO_ADAPTER, if it is set
app = FastAPI()
app.mount("/socket.io", io.asgi())


@app.post("/announce")
async def announce(text: str) -> dict[str, str]:
    await io.emit("announcement", text)
    return {"announced": text}
