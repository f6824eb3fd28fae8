"""The application behind every balancer; `python -m tests.bench.balancer.app PORT` runs one worker of it."""

import socket
import sys
from typing import Any

from zmqio.hosting.event_loop import run
from zmqio.hosting.server import serve

__all__ = ["app"]


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Answer every request with two bytes."""
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


async def _nothing() -> None: ...


def main() -> None:
    """Serve on a port of 127.0.0.1."""
    listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=2048)
    run(serve(app, listener=listener, before_shutdown=_nothing))


if __name__ == "__main__":
    main()
