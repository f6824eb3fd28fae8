"""A zmqio node: `python -m tests.bench.cluster_peers.app_zmqio PORT ADDRESS [fast|asyncio|plain]`.

`fast` is uvloop and the fast WebSocket path, as `zmqio serve` serves; `asyncio` the same on the standard loop;
`plain` is stock uvicorn with uvloop.
"""

import asyncio
import socket as sockets
import sys

import uvicorn

from tests.bench.cluster_peers.pace import SLICE, Pace
from tests.bench.cluster_peers.payload import stamped
from tests.bench.cluster_peers.stock_uvicorn import run_stock_uvicorn
from zmqio.hosting.server import serve
from zmqio.logs import configure_logs
from zmqio.server.server import Server
from zmqio.server.socket import Socket

PING_INTERVAL_S = 600


def make_server(address: str) -> Server:
    """Create a server that handles the commands of the benchmark."""
    io = Server(adapter=address, ping_interval_s=PING_INTERVAL_S)

    @io.on("join")
    async def join(socket: Socket, room: str | list[str]) -> None:
        await socket.join(room)

    @io.on("flood")
    async def flood(socket: Socket, room: str, count: int, size: int, per_second: int) -> None:
        pace = Pace(per_second)
        for number in range(count):
            if size:
                await io.to(room).emit("m", stamped(size))
            if per_second or number % SLICE == 0:
                await pace.next()

    @io.on("say")
    async def say(socket: Socket, number: int) -> None:
        await io.emit("said", number)

    return io


def main() -> None:
    """Serve until the process is killed."""
    port, address, path = int(sys.argv[1]), sys.argv[2], (*sys.argv[3:], "fast")[0]
    configure_logs("json", "warning")
    io = make_server(address)
    if path == "plain":
        run_stock_uvicorn(io.asgi(), port)
        return
    listener = sockets.create_server(("127.0.0.1", port), backlog=2048)
    loop = "asyncio" if path == "asyncio" else "uvloop"
    config = uvicorn.Config(io.asgi(), loop=loop, log_config=None)
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(_serve(io, listener))


async def _serve(io: Server, listener: sockets.socket) -> None:
    await io.start()
    await serve(io.asgi(), listener=listener, before_shutdown=io.close)


if __name__ == "__main__":
    main()
