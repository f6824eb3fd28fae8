"""Runs a plain function of the application in a thread, so that it does not block the event loop."""

import asyncio
import functools
import inspect
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

__all__ = ["in_thread"]

P = ParamSpec("P")
ResultT = TypeVar("ResultT")


def in_thread(function: Callable[P, ResultT]) -> Callable[P, Coroutine[Any, Any, ResultT]]:
    """Make a handler or middleware run in a thread: for functions that wait for a disk, a database or a library.

        @io.on("resize")
        @zmqio.in_thread
        def resize(socket, picture):
            return make_thumbnail(picture)

    Events of one client stay in order. The function may read the socket and return a value, which is the
    acknowledgement. It cannot emit, join or leave, as no plain function can: these are coroutines. Emit from it
    with a `zmqio.Emitter`. If it is cancelled, because its client has gone or a limit has passed, it runs to
    its end, and its result is dropped.

    The threads are those of `asyncio.to_thread`: at most 32, and 4 more than the machine has cores.

    Raises:
        TypeError: `function` is a coroutine function, which does not run in a thread.
    """
    if inspect.iscoroutinefunction(function):
        raise TypeError(
            f"{function!r} is a coroutine function; leave out `in_thread`, which is for plain functions"
        )

    @functools.wraps(function)
    async def run(*args: P.args, **kwargs: P.kwargs) -> ResultT:
        return await asyncio.to_thread(function, *args, **kwargs)

    return run
