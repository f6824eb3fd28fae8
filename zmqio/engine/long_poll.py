"""The wait of a long poll, which ends when the server has something to send or when the client goes away.

The only sign of a client that has gone away is `http.disconnect` from the ASGI `receive()`. The request's own task
waits in `receive()`, and `release` interrupts that wait by `Task.cancel` and `Task.uncancel`, as `asyncio.timeout`
does. A second task for each poll would cost more than everything else in the wait.

Knows ASGI messages; must not know sessions or packets.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

__all__ = ["LongPollWaiter", "Receive"]

# An ASGI message is a mapping whose values depend on its type.
Receive = Callable[[], Awaitable[dict[str, Any]]]


class LongPollWaiter:
    """The wait of one long poll.

    Attributes:
        released: whether `release` was called; never reset.
    """

    __slots__ = ("_task", "released")

    def __init__(self) -> None:
        self.released = False
        self._task: asyncio.Task[Any] | None = None

    def release(self) -> None:
        """End the wait soon; a second call does nothing."""
        if self.released:
            return
        self.released = True
        if self._task is not None:
            # One turn of the loop more than `wait` allows: a disconnect in this turn wakes the task in the next.
            call_soon = asyncio.get_running_loop().call_soon
            call_soon(call_soon, self._interrupt)

    async def wait(self, receive: Receive) -> bool:
        """Wait for `release`, which may come before or after this call, or for the client's disconnect.

        Request body that the client still sends is read and dropped.

        Returns:
            whether the client is still connected. A disconnect in the same turn of the loop as `release` counts.
        """
        task = self._task = asyncio.current_task()
        assert task is not None
        if self.released:
            # `receive()` gets one turn, to report a disconnect that has already happened.
            asyncio.get_running_loop().call_soon(self._interrupt)
        try:
            while self._task is not None:
                if (await receive())["type"] == "http.disconnect":
                    return False
        except asyncio.CancelledError:
            if self._task is not None or task.cancelling() > 1:  # the request was cancelled, too
                raise
        finally:
            if self._task is None:
                task.uncancel()
            self._task = None
        return True

    def _interrupt(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
