"""A python-socketio node on stock uvicorn: `python -m tests.bench.cluster_peers.app_socketio PORT ADDRESS`.

ADDRESS is a `redis://` URL, or the address of a zmqio broker.
"""

import sys

import socketio

from tests.bench.cluster_peers.pace import SLICE, Pace
from tests.bench.cluster_peers.payload import stamped
from tests.bench.cluster_peers.stock_uvicorn import run_stock_uvicorn
from zmqio.python_socketio import AsyncManager

PING_INTERVAL_S = 600


def make_server(address: str) -> socketio.AsyncServer:
    """Create a server that handles the commands of the benchmark."""
    manager = socketio.AsyncRedisManager if address.startswith("redis:") else AsyncManager
    io = socketio.AsyncServer(async_mode="asgi", client_manager=manager(address), ping_interval=PING_INTERVAL_S)

    @io.event  # type: ignore[untyped-decorator]  # python-socketio has no annotations
    async def join(sid: str, room: str) -> None:
        await io.enter_room(sid, room)

    @io.event  # type: ignore[untyped-decorator]  # python-socketio has no annotations
    async def flood(sid: str, room: str, count: int, size: int, per_second: int) -> None:
        pace = Pace(per_second)
        for number in range(count):
            if size:
                await io.emit("m", stamped(size), room=room)
            if per_second or number % SLICE == 0:
                await pace.next()

    @io.event  # type: ignore[untyped-decorator]  # python-socketio has no annotations
    async def say(sid: str, number: int) -> None:
        await io.emit("said", number)

    return io


if __name__ == "__main__":
    run_stock_uvicorn(socketio.ASGIApp(make_server(sys.argv[2])), int(sys.argv[1]))
