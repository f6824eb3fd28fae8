"""One event that asks several clients of this process for an acknowledgement."""

import asyncio
from collections.abc import Callable
from typing import Any

__all__ = ["AckRound", "ExpectedAck"]


class AckRound:
    """Counts the acknowledgements that may still arrive, and forgets them all after a time limit.

    Belongs to the node's event loop.

    Args:
        expected: number of clients that are asked.
        on_ack: called with the arguments of each acknowledgement.
        on_expected: called with a lower number when a client leaves that has not acknowledged.
        timeout_s: seconds after which `forget` is called, unless all have answered or left.
        forget: called at the time limit; forgets the callbacks of the clients that have not acknowledged.
    """

    def __init__(
        self,
        expected: int,
        on_ack: Callable[[list[Any]], None],
        on_expected: Callable[[int], None],
        timeout_s: float,
        forget: Callable[[], None],
    ) -> None:
        self._open = expected
        self._expected = expected
        self._on_ack = on_ack
        self._on_expected = on_expected
        self._timer = asyncio.get_running_loop().call_later(timeout_s, forget)

    def answered(self, args: list[Any]) -> None:
        """A client has acknowledged."""
        self._close_one()
        self._on_ack(args)

    def lost(self) -> None:
        """A client has left that had not acknowledged."""
        self._close_one()
        self._expected -= 1
        self._on_expected(self._expected)

    def _close_one(self) -> None:
        self._open -= 1
        if not self._open:
            self._timer.cancel()


class ExpectedAck:
    """The callback of one client, in the manager's table of callbacks.

    Args:
        round_: the round that the client belongs to.
        run: runs a function in the node's event loop; python-socketio may call this object in another thread.
    """

    __slots__ = ("_round", "_run")

    def __init__(self, round_: AckRound, run: Callable[..., object]) -> None:
        self._round = round_
        self._run = run

    def __call__(self, *args: Any) -> None:
        """Report the acknowledgement of the client."""
        self._run(self._round.answered, list(args))

    def lost(self) -> None:
        """Report that the client has left."""
        self._round.lost()
