"""The acknowledgements that one socket's client has not sent yet.

An entry is added when a packet with an ack id is written. It is removed when the client acknowledges, when the
time-out expires, or with the socket. Late and repeated acknowledgements are ignored.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

from zmqio.exceptions import RequestTimeoutError, SocketGoneError

__all__ = ["PendingAcks", "ack_value"]

AckCallback = Callable[[list[Any]], None]


class PendingAcks:
    """Maps ack ids to callbacks. The namespace assigns the ids, which are unique in it."""

    __slots__ = ("_pending",)

    def __init__(self) -> None:
        self._pending: dict[int, tuple[AckCallback, Callable[[], None]]] = {}

    def __len__(self) -> int:
        return len(self._pending)

    def expect(self, ack_id: int, on_ack: AckCallback, on_gone: Callable[[], None]) -> None:
        """Call `on_ack(args)` when the client acknowledges, or `on_gone()` when it disconnects first.

        Time-outs are the caller's task: it calls `forget`.
        """
        self._pending[ack_id] = (on_ack, on_gone)

    def forget(self, ack_id: int) -> None:
        """Ignore this acknowledgement from now on."""
        self._pending.pop(ack_id, None)

    def resolve(self, ack_id: int, args: list[Any]) -> bool:
        """Pass an acknowledgement to its callback; False if none is expected with this id."""
        entry = self._pending.pop(ack_id, None)
        if entry is None:
            return False
        entry[0](args)
        return True

    async def wait(self, ack_id: int, send: Callable[[], None], timeout_s: float | None) -> list[Any]:
        """Call `send`, then wait for the acknowledgement and return its arguments.

        Raises:
            RequestTimeoutError: no acknowledgement within `timeout_s` seconds (None: no limit).
            SocketGoneError: the client disconnected first.
        """
        future: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        self.expect(ack_id, partial(_complete, future), partial(_fail, future))
        send()
        try:
            async with asyncio.timeout(timeout_s):
                return await future
        except TimeoutError as error:
            raise RequestTimeoutError(f"the client did not acknowledge within {timeout_s} s") from error
        finally:
            self.forget(ack_id)
            del future  # the traceback of its exception refers to this frame

    def fail_all(self) -> None:
        """Raise `SocketGoneError` in every `wait`, and call every `on_gone`: the client has disconnected."""
        pending, self._pending = self._pending, {}
        for _, on_gone in pending.values():
            on_gone()


def _complete(future: asyncio.Future[list[Any]], args: list[Any]) -> None:
    if not future.done():
        future.set_result(args)


def _fail(future: asyncio.Future[list[Any]]) -> None:
    if not future.done():
        future.set_exception(SocketGoneError("the client disconnected before it acknowledged"))


def ack_value(args: list[Any]) -> Any:
    """Convert an acknowledgement's arguments to Python: None, the value, or a tuple of several values."""
    if len(args) == 1:
        return args[0]
    return tuple(args) if args else None
