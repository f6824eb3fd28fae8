"""One node process of the demo: `python -m zmqio.demo.node` with its part as JSON in `ZMQIO_DEMO_NODE`.

The listening socket comes from the process that starts it, so that no port can be taken in between.
"""

import asyncio
import os
import signal
import socket
import sys

from zmqio.demo.chat import Chat
from zmqio.demo.node_spec import ENVIRONMENT, DemoNodeSpec
from zmqio.demo.static import PAGE, StaticFiles
from zmqio.hosting.event_loop import run as run_on_loop
from zmqio.hosting.server import serve
from zmqio.logs import configure_logs
from zmqio.server.server import Server

__all__ = ["main"]


async def run(part: DemoNodeSpec) -> None:
    """Serve until SIGINT or SIGTERM."""
    io = Server(adapter=part.broker, cors_allowed_origins=list(part.urls.values()))
    chat = Chat(io, part.name, list(part.urls))
    app = io.asgi(StaticFiles(PAGE, part.config))
    await io.start()
    if part.ends_with_stdin:
        asyncio.get_running_loop().add_reader(sys.stdin.fileno(), _stop_at_the_end_of_input)
    watcher = asyncio.create_task(chat.watch_bus())
    try:
        await serve(app, listener=socket.socket(fileno=part.listener_fd), before_shutdown=io.close)
    finally:
        watcher.cancel()
        await asyncio.gather(watcher, return_exceptions=True)


def _stop_at_the_end_of_input() -> None:
    if not os.read(sys.stdin.fileno(), 1024):
        asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
        os.kill(os.getpid(), signal.SIGTERM)


def main() -> None:
    """Run the node that the environment describes."""
    part = DemoNodeSpec.from_json(os.environ[ENVIRONMENT])
    configure_logs(part.log_format, part.log_level, process=f"node {part.name}")
    run_on_loop(run(part))


if __name__ == "__main__":
    main()
