"""One node process of the demo: `python -m zmqio.demo.node` with its `DemoNodeSpec` in `ZMQIO_DEMO_NODE`.

The listening socket is inherited from the demo, so that no other process can take the port in between.
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
from zmqio.metrics.exposition import has_metrics
from zmqio.server.metrics_app import METRICS_PATH
from zmqio.server.server import Server

__all__ = ["main"]

_STANDARD_ERROR = 2


async def run(spec: DemoNodeSpec) -> None:
    """Serve until SIGINT or SIGTERM."""
    io = Server(adapter=spec.broker, cors_allowed_origins=list(spec.urls.values()), recovery=True)
    chat = Chat(io, spec.name, list(spec.urls))
    app = io.asgi(StaticFiles(PAGE, spec.page_config), metrics_path=METRICS_PATH if has_metrics() else None)
    await io.start()
    if spec.stop_with_stdin:
        asyncio.get_running_loop().add_reader(sys.stdin.fileno(), _read_demo, chat)
    watcher = asyncio.create_task(chat.watch_bus())
    try:
        await serve(app, listener=socket.socket(fileno=spec.listener_fd), before_shutdown=io.close)
    finally:
        watcher.cancel()
        await asyncio.gather(watcher, return_exceptions=True)


def _read_demo(chat: Chat) -> None:
    """Read the process id of the broker from standard input, one a line.

    Stop this node if the input has ended: the demo has died, so standard error has no reader.
    """
    if lines := os.read(sys.stdin.fileno(), 1024).split():
        chat.broker_pid = int(lines[-1])
    else:
        asyncio.get_running_loop().remove_reader(sys.stdin.fileno())
        os.dup2(os.open(os.devnull, os.O_WRONLY), _STANDARD_ERROR)
        os.kill(os.getpid(), signal.SIGTERM)


def main() -> None:
    """Run the node that the environment variable describes."""
    spec = DemoNodeSpec.from_json(os.environ[ENVIRONMENT])
    configure_logs(spec.log_format, spec.log_level, process=f"node {spec.name}")
    run_on_loop(run(spec))


if __name__ == "__main__":
    main()
