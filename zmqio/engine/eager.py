"""Run a coroutine at once, and make a task of it only if it has to wait.

Most `send()` calls of an ASGI server never wait, and a task for each recipient would cost more than the send.
(Python 3.12 has `eager_start` for this; 3.11 is supported, too.)

Knows coroutines; must not know what they do.
"""

import asyncio
import types
from collections.abc import Callable, Coroutine, Generator
from typing import Any

__all__ = ["run_eagerly"]

Spawn = Callable[[Coroutine[Any, Any, None]], "asyncio.Task[None]"]


def run_eagerly(coroutine: Coroutine[Any, Any, None], spawn: Spawn) -> "asyncio.Task[None] | None":
    """Run `coroutine` up to its first wait; returns None if it is done, else the task that goes on with it.

    Until its first wait it runs inside the caller's task: it must not take `asyncio.timeout` or
    `current_task` for its own before that.

    Args:
        coroutine: what to run; what it raises before its first wait is raised here.
        spawn: makes the task, and owns it.
    """
    try:
        blocker = coroutine.send(None)
    except StopIteration:
        return None
    return spawn(_rest(coroutine, blocker))


async def _rest(coroutine: Coroutine[Any, Any, None], blocker: Any) -> None:
    await _go_on(coroutine, blocker)


@types.coroutine
def _go_on(coroutine: Coroutine[Any, Any, None], blocker: Any) -> Generator[Any, Any, None]:
    while True:
        try:
            yield blocker
        except BaseException as error:  # noqa: BLE001 - handed on to where the coroutine waits
            resume, argument = coroutine.throw, error
        else:
            resume, argument = coroutine.send, None  # type: ignore[assignment]
        try:
            blocker = resume(argument)
        except StopIteration:
            return
