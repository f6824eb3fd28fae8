"""Which event loop the processes of zmqio run on: uvloop's where it is installed."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

__all__ = ["run"]

try:
    import uvloop
except ImportError:  # a platform that it does not support
    _new_loop: Callable[[], asyncio.AbstractEventLoop] | None = None
else:
    _new_loop = uvloop.new_event_loop


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run `work` to its end on the event loop that uvicorn would choose."""
    with asyncio.Runner(loop_factory=_new_loop) as runner:
        runner.run(work)
