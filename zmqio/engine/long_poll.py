"""Wait for two things at once without a task: what the server has to say, and the client's going away.

The only sign of a client that went away during a long poll is `http.disconnect` from the ASGI `receive()`. A task
for each waiting poll would cost more than the poll; so the `receive()` coroutine is stepped here, inside the task
that the ASGI server runs the request in, and what it waits for shares one future with the session.

Knows asyncio's future protocol (`_asyncio_future_blocking`, as tasks do); must not know sessions or packets.
"""

import asyncio
import types
from collections.abc import Awaitable, Callable, Generator
from typing import Any

__all__ = ["LongPollWaiter", "Receive"]

# An ASGI message is a mapping whose values depend on its type.
Receive = Callable[[], Awaitable[dict[str, Any]]]


class LongPollWaiter:
    """The waiting place of one long poll.

    Attributes:
        released: whether `release` was called; it stays so.
    """

    __slots__ = ("_future", "released")

    def __init__(self) -> None:
        self.released = False
        self._future: asyncio.Future[None] | None = None

    def release(self) -> None:
        """Let the poll go on; does nothing the second time."""
        self.released = True
        self._wake()

    async def wait(self, receive: Receive) -> bool:
        """Wait until `release` (before or after this call), or until the client has gone.

        What the client still sends as request body is read and dropped.

        Returns:
            whether the client is still there.
        """
        while True:
            message = await _interruptible(receive().__await__(), self)
            if message is None:
                return True
            if message["type"] == "http.disconnect":
                return False

    def _wake(self, _: object = None) -> None:
        if self._future is not None and not self._future.done():
            self._future.set_result(None)


Steps = Generator[Any, Any, Any]


@types.coroutine
def _interruptible(steps: Steps, waiter: LongPollWaiter) -> Generator[Any, Any, dict[str, Any] | None]:
    """Run `steps` to their end and return their result, or None if `waiter` was released first."""
    while True:
        try:
            blocker = steps.send(None)
        except StopIteration as stop:
            result: dict[str, Any] = stop.value
            return result
        if not asyncio.isfuture(blocker):
            yield blocker  # a bare yield: let the loop turn once
            continue
        blocker._asyncio_future_blocking = False
        if not waiter.released:
            yield from _wait_for_either(blocker, waiter, steps)
        if waiter.released and not blocker.done():
            return (yield from _unwind(steps))


def _wait_for_either(
    blocker: "asyncio.Future[Any]", waiter: LongPollWaiter, steps: Steps
) -> Generator[Any, Any, None]:
    future = waiter._future = blocker.get_loop().create_future()
    blocker.add_done_callback(waiter._wake)
    try:
        yield from future
    except asyncio.CancelledError:
        yield from _unwind(steps)
        raise
    finally:
        waiter._future = None
        blocker.remove_done_callback(waiter._wake)


def _unwind(steps: Steps) -> Generator[Any, Any, dict[str, Any] | None]:
    """End `receive()` as a cancelled task would; what it still returned is handed on."""
    try:
        blocker = steps.throw(asyncio.CancelledError())
        while True:
            yield blocker
            blocker = steps.send(None)
    except asyncio.CancelledError:
        return None
    except StopIteration as stop:
        result: dict[str, Any] | None = stop.value
        return result
