"""Uvicorn's main loop, which wakes up an idle process once a second, not ten times.

Uvicorn looks ten times a second whether it should stop. Here, the assignment to `should_exit` wakes the loop, from
signal handlers and other threads as well. Once a second it updates the Date header, as in uvicorn.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import uvicorn

from zmqio.hosting.uvicorn_contract import missing_names
from zmqio.timer_grid import next_on_grid

__all__ = ["wake_once_a_second"]

TICK_S = 1.0
_FLAG, _WAKE = "should_exit", "_zmqio_wake"
_uvicorns_loop: Callable[[uvicorn.Server], Awaitable[None]] = uvicorn.Server.main_loop


def wake_once_a_second() -> None:
    """Replace the main loop of all uvicorn servers of this process; does nothing if uvicorn is not supported.

    A server with `limit_max_requests` keeps uvicorn's loop, which counts its requests ten times a second.
    """
    if not missing_names():
        setattr(uvicorn.Server, _FLAG, _ExitFlag())
        uvicorn.Server.main_loop = _main_loop  # type: ignore[method-assign]


class _ExitFlag:
    """`Server.should_exit`, whose assignment wakes the main loop."""

    def __get__(self, server: uvicorn.Server, owner: type) -> bool:
        if _FLAG not in server.__dict__:
            raise AttributeError(_FLAG)
        return bool(server.__dict__[_FLAG])

    def __set__(self, server: uvicorn.Server, value: bool) -> None:
        server.__dict__[_FLAG] = value
        wake: Callable[[], Any] = server.__dict__.get(_WAKE, bool)
        wake()


async def _main_loop(self: uvicorn.Server) -> None:
    if self.limit_max_requests is not None:
        await _uvicorns_loop(self)
        return
    loop, changed = asyncio.get_running_loop(), asyncio.Event()
    self.__dict__[_WAKE] = lambda: loop.call_soon_threadsafe(changed.set)
    try:
        while not await self.on_tick(0):  # at 0 and at multiples of 10 it updates the Date header
            timer = loop.call_at(next_on_grid(loop.time(), TICK_S), changed.set)
            await changed.wait()
            changed.clear()
            timer.cancel()
    finally:
        del self.__dict__[_WAKE]
