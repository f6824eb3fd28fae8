"""One node process of the demo: `python -m zmqio.demo.node` with its part as JSON in `ZMQIO_DEMO_NODE`.

The listening socket comes from the process that starts it, so that no port can be taken in between.
"""

import asyncio
import json
import os
import socket
from dataclasses import asdict, dataclass
from typing import Any

from zmqio import __version__
from zmqio.demo.chat import Chat
from zmqio.demo.static import PAGE, StaticFiles
from zmqio.logs import configure_logs
from zmqio.server.server import Server
from zmqio.transport.uvicorn_server import run as run_on_loop
from zmqio.transport.uvicorn_server import serve

__all__ = ["ENVIRONMENT", "Part", "main"]

ENVIRONMENT = "ZMQIO_DEMO_NODE"


@dataclass(frozen=True, slots=True)
class Part:
    """What one node has to know.

    Attributes:
        name: `A`, `B`, ...
        urls: name -> address of every node of the demo.
        broker: address of the broker.
        listener_fd: file descriptor of the bound socket.
        log_format, log_level: as of the `zmqio` command.
    """

    name: str
    urls: dict[str, str]
    broker: str
    listener_fd: int
    log_format: str = "auto"
    log_level: str = "warning"

    def to_json(self) -> str:
        """As text for the environment."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Part":
        """From the environment."""
        return cls(**json.loads(text))

    def config(self) -> dict[str, Any]:
        """What the page wants to know."""
        nodes = [{"name": name, "url": url} for name, url in self.urls.items()]
        return {"node": self.name, "nodes": nodes, "broker": self.broker, "version": __version__}


async def run(part: Part) -> None:
    """Serve until SIGINT or SIGTERM."""
    io = Server(adapter=part.broker, cors_allowed_origins=list(part.urls.values()))
    chat = Chat(io, part.name, list(part.urls))
    app = io.asgi(StaticFiles(PAGE, part.config))
    await io.start()
    watcher = asyncio.create_task(chat.watch_bus())
    try:
        await serve(app, listener=socket.socket(fileno=part.listener_fd), before_shutdown=io.close)
    finally:
        watcher.cancel()
        await asyncio.gather(watcher, return_exceptions=True)


def main() -> None:
    """Run the node that the environment describes."""
    part = Part.from_json(os.environ[ENVIRONMENT])
    configure_logs(part.log_format, part.log_level, process=f"node {part.name}")
    run_on_loop(run(part))


if __name__ == "__main__":
    main()
