"""Acknowledgements that one socket still owes us.

An entry is made when a packet with an ack id is written and goes when the client answers, when its time is
over, or with the socket. An answer that nobody awaits is passed over: it came late, or twice.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from zmqio.exceptions import RequestTimeoutError, SocketGoneError

__all__ = ["PendingAcks", "ack_value"]

Answered = Callable[[list[Any]], None]


class PendingAcks:
    """Ack id -> whom to tell. Ids come from the namespace and are unique in it."""

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: dict[int, tuple[Answered, asyncio.Future[list[Any]] | None]] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def expect(self, ack_id: int, answered: Answered) -> None:
        """Call `answered(args)` when the client answers; whoever asks calls `forget` when time is over."""
        self._waiting[ack_id] = (answered, None)

    def forget(self, ack_id: int) -> None:
        """Await this answer no longer."""
        self._waiting.pop(ack_id, None)

    def resolve(self, ack_id: int, args: list[Any]) -> bool:
        """Hand in an answer; False if nobody awaits it."""
        entry = self._waiting.pop(ack_id, None)
        if entry is None:
            return False
        entry[0](args)
        return True

    async def wait(self, ack_id: int, send: Callable[[], None], timeout_s: float | None) -> list[Any]:
        """Send, then wait for the answer.

        Raises:
            RequestTimeoutError: no answer in `timeout_s` seconds (None: no limit).
            SocketGoneError: the client disconnected first.
        """
        future: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        self._waiting[ack_id] = (lambda args: None if future.done() else future.set_result(args), future)
        send()
        try:
            async with asyncio.timeout(timeout_s):
                return await future
        except TimeoutError as error:
            raise RequestTimeoutError(f"the client did not acknowledge within {timeout_s} s") from error
        finally:
            self.forget(ack_id)

    def abandon(self) -> None:
        """The socket is gone: whoever waits for its answer gets `SocketGoneError`."""
        waiting, self._waiting = self._waiting, {}
        for _, future in waiting.values():
            if future is not None and not future.done():
                future.set_exception(SocketGoneError("the client disconnected before it acknowledged"))


def ack_value(args: list[Any]) -> Any:
    """What an acknowledgement's arguments are in Python: None, the one value, or a tuple of several."""
    if len(args) == 1:
        return args[0]
    return tuple(args) if args else None
