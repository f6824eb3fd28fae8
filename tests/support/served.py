"""Serves an ASGI app from a thread of the test process, with uvicorn in its default configuration."""

import asyncio
import socket
import threading
from types import TracebackType
from typing import Any

import uvicorn

from tests.support.timing import LIMIT_S, wait_until

__all__ = ["Served"]


class Served:
    """An ASGI app on a loopback port; used as `async with`.

    Attributes:
        url: its URL.
    """

    def __init__(self, app: Any, lifespan: str = "auto") -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        config = uvicorn.Config(
            app,
            lifespan=lifespan,  # type: ignore[arg-type]
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=2,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._run, name="served", daemon=True)

    async def __aenter__(self) -> "Served":
        self._thread.start()
        await wait_until(lambda: self._server.started or not self._thread.is_alive(), "the start of uvicorn")
        assert self._server.started
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        await asyncio.to_thread(self._thread.join, LIMIT_S)
        assert not self._thread.is_alive(), "uvicorn did not stop"

    def _run(self) -> None:
        with self._socket:
            asyncio.run(self._server.serve(sockets=[self._socket]))
