"""python-socketio under test, on stock uvicorn: `python -m tests.bench.engine.app_socketio PORT`.

The same events as `app_zmqio`. A lock keeps the commands for broadcasts in order, because handlers run
concurrently here.
"""

import asyncio
import gc
import sys

import socketio
import uvicorn

from tests.bench.engine.payload import payload

io = socketio.AsyncServer(async_mode="asgi")
orders = asyncio.Lock()


@io.event  # type: ignore[untyped-decorator]  # python-socketio has no annotations
async def connect(sid: str, environ: dict[str, object]) -> None:
    await io.enter_room(sid, "room")


@io.event  # type: ignore[untyped-decorator]  # python-socketio has no annotations
async def go(sid: str, count: int, size: int, first: int) -> None:
    async with orders:
        for sequence in range(first, first + count):
            await io.emit("m", payload(sequence, size), room="room")
            await asyncio.sleep(0)


@io.event  # type: ignore[untyped-decorator]  # python-socketio has no annotations
async def echo(sid: str, text: str) -> str:
    return text


@io.event  # type: ignore[untyped-decorator]  # python-socketio has no annotations
async def collect(sid: str, count: int, size: int, first: int) -> None:
    gc.collect()


if __name__ == "__main__":
    app = socketio.ASGIApp(io)
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_config=None, access_log=False)
