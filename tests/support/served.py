"""Serves an ASGI app from a thread of the test process, with uvicorn in its default configuration."""

import asyncio
import socket
import threading
from types import TracebackType
from typing import Any

import uvicorn
from websockets.protocol import State

from tests.support.timing import LIMIT_S, wait_until

__all__ = ["Served"]

TICK_S = 0.1
"""Uvicorn looks so often whether it should stop."""


class _Server(uvicorn.Server):
    """Stops as uvicorn does, some time after it was told to.

    `zmqio.uvicorn` lets all uvicorn servers of a process stop at once, also in a process of tests. Uvicorn's own
    classes then meet connections that are just accepted (never closed) or in a closing handshake (InvalidState).
    """

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        await asyncio.sleep(TICK_S)
        while any(_is_closing(connection) for connection in self.server_state.connections):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        await super().shutdown(sockets)
        await asyncio.sleep(TICK_S)


def _is_closing(connection: Any) -> bool:
    return getattr(getattr(connection, "conn", None), "state", None) is State.CLOSING


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
        self._server = _Server(config)
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
