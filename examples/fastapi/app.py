"""Socket.IO in a FastAPI app: `uvicorn app:app`. FastAPI's own lifespan, routes and docs stay as they are."""

from fastapi import FastAPI

import zmqio

io = zmqio.Server()  # the broker's address, if any, comes from ZMQIO_ADAPTER
app = FastAPI()
app.mount("/socket.io", io.asgi())


@app.post("/announce")
async def announce(text: str) -> dict[str, str]:
    await io.emit("announcement", text)
    return {"announced": text}
