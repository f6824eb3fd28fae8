"""A node for `members` and `outage`, on stock uvicorn: `python -m ....app_members PORT ADDRESS API`.

API is `socketio`, `compat`, or `compat-ws`, which is served with zmqio's classes for uvicorn. ADDRESS is a
`redis://` URL or the address of a zmqio broker. The events are those of `tests.bench.engine.app_socketio`.
"""

import asyncio
import sys
from typing import Any

import socketio

from tests.bench.cluster_peers.pace import Pace
from tests.bench.cluster_peers.stock_uvicorn import run_stock_uvicorn
from tests.bench.engine.payload import payload
from zmqio import compat
from zmqio.python_socketio import AsyncManager

PING_INTERVAL_S = 600
OWN_CLASSES = {"ws": "zmqio.uvicorn:WebSocketProtocol", "http": "zmqio.uvicorn:HttpProtocol"}


def make_app(address: str, api: str) -> Any:
    """The ASGI app."""
    module: Any = socketio if api == "socketio" else compat
    manager: Any = address
    if api == "socketio":
        manager = (socketio.AsyncRedisManager if address.startswith("redis:") else AsyncManager)(address)
    io = module.AsyncServer(async_mode="asgi", client_manager=manager, ping_interval=PING_INTERVAL_S)
    orders = asyncio.Lock()

    @io.event  # type: ignore[untyped-decorator]  # of either module
    async def connect(sid: str, environ: dict[str, Any]) -> None:
        await io.enter_room(sid, "room")

    @io.event  # type: ignore[untyped-decorator]
    async def go(sid: str, count: int, size: int, first: int) -> None:
        async with orders:
            for sequence in range(first, first + count):
                await io.emit("m", payload(sequence, size), room="room")
                await asyncio.sleep(0)

    @io.event  # type: ignore[untyped-decorator]
    async def numbers(sid: str, first: int, count: int, per_second: int) -> None:
        pace = Pace(per_second)
        for number in range(first, first + count):
            await io.emit("number", number, room="room")
            await pace.next()

    start = getattr(manager, "start", None)
    return module.ASGIApp(io, on_startup=start) if start else module.ASGIApp(io)


if __name__ == "__main__":
    port, hub, served_as = int(sys.argv[1]), *sys.argv[2:4]
    run_stock_uvicorn(make_app(hub, served_as), port, **(OWN_CLASSES if served_as == "compat-ws" else {}))
