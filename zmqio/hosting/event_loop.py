"""The event loop of zmqio's processes: uvloop where it is installed, else asyncio's."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

__all__ = ["run"]

try:
    import uvloop
except ImportError:  # not available on every platform
    _new_loop: Callable[[], asyncio.AbstractEventLoop] | None = None
else:
    _new_loop = uvloop.new_event_loop


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine to completion on the event loop that uvicorn would choose."""
    with asyncio.Runner(loop_factory=_new_loop) as runner:
        runner.run(work)
