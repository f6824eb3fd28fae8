"""zmqio under test: `python -m tests.bench.engine.app_zmqio PORT fast|plain [ADAPTER]`.

`fast` serves as `zmqio serve` does; `plain` is stock uvicorn without the fast WebSocket path. With an adapter it
is one node of several. BENCH_PING_INTERVAL_S is the interval of pings, if it is not to be the default.
"""

import asyncio
import gc
import os
import socket as sockets
import sys

import uvicorn

from tests.bench.engine.loop_probe import LoopProbe
from tests.bench.engine.payload import payload
from zmqio.hosting.server import serve
from zmqio.logs import configure_logs
from zmqio.server.server import Server
from zmqio.server.socket import Socket

io = Server(
    adapter=sys.argv[3] if len(sys.argv) > 3 else None,
    ping_interval_s=float(os.environ.get("BENCH_PING_INTERVAL_S", "25")),
)


@io.on("connect")
async def connect(socket: Socket) -> None:
    await socket.join("room")


@io.on("go")
async def go(socket: Socket, count: int, size: int, first: int) -> None:
    for sequence in range(first, first + count):
        await io.to("room").emit("m", payload(sequence, size))
        await asyncio.sleep(0)


@io.on("echo")
async def echo(socket: Socket, text: str) -> str:
    return text


@io.on("collect")
async def collect(socket: Socket, count: int, size: int, first: int) -> None:
    gc.collect()


@io.on("hold")
async def hold(socket: Socket, count: int, size: int, first: int) -> list[list[float]]:
    """Broadcast while a probe measures the loop: [longest turn in ms, its CPU in ms] of each; the first
    without."""
    idle = LoopProbe()
    await idle.run()
    found = [idle.result_ms]
    for sequence in range(first, first + count):
        probe = LoopProbe()
        watching = asyncio.create_task(probe.run())
        await asyncio.sleep(0)
        await io.to("room").emit("m", payload(sequence, size))
        await watching
        found.append(probe.result_ms)
    return found


def main() -> None:
    """Serve until SIGTERM."""
    port, path = int(sys.argv[1]), sys.argv[2]
    configure_logs("json", "warning")
    app = io.asgi()
    if path == "plain":
        uvicorn.run(app, host="127.0.0.1", port=port, log_config=None, access_log=False)
        return
    listener = sockets.create_server(("127.0.0.1", port), backlog=2048)
    uvicorn_loop = uvicorn.Config(app, log_config=None).get_loop_factory()
    with asyncio.Runner(loop_factory=uvicorn_loop) as runner:
        runner.run(serve(app, listener=listener, before_shutdown=io.close))


if __name__ == "__main__":
    main()
