"""Queue that runs the room operations of one namespace in order; large ones in slices.

An operation on at most one slice of sockets runs at once while the queue is empty. A larger one returns to the
event loop between its slices, so that the loop stays responsive; all later operations wait for it. A broadcast
right after a join of ten thousand sockets therefore reaches all of them. Changes to a single socket (join, leave,
disconnect) do not wait: they happen at once, after the pending part of the current operation has been applied to
that socket.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from itertools import islice

from zmqio.ids import Sid
from zmqio.logger import get_logger

__all__ = ["SLICE_SOCKETS", "RoomOperation", "RoomOperationQueue"]

log = get_logger(__name__)

SLICE_SOCKETS = 500
"""Sockets that join or leave per iteration of the event loop: about 3 ms with two rooms (the target is 10 ms)."""


def _no_sids() -> Collection[Sid]:
    return ()


def _do_nothing(_sids: Sequence[Sid] = ()) -> None:
    """Do nothing."""


@dataclass(slots=True)
class RoomOperation:
    """One operation on the sockets of a namespace.

    Attributes:
        select: returns the sockets to act on; called when the operation starts.
        act: acts on a slice of the sockets; never on one that has disconnected in the meantime.
        then: called after the last slice, in the same iteration of the event loop.
        slice_sockets: most sockets per call of `act`.
        done: set by `RoomOperationQueue.run` to wait for the end of the operation.
        remaining: the sockets that `act` has not been called with; None before the operation starts.
    """

    select: Callable[[], Collection[Sid]] = _no_sids
    act: Callable[[Sequence[Sid]], None] = _do_nothing
    then: Callable[[], object] = _do_nothing
    slice_sockets: int = SLICE_SOCKETS
    done: asyncio.Future[None] | None = None
    remaining: dict[Sid, None] | None = None


class RoomOperationQueue:
    """The FIFO queue of one namespace.

    Its length is bounded by the duration of its largest operation: in each iteration of the event loop it runs
    more operations than the bus delivers.
    """

    def __init__(self) -> None:
        self._operations: deque[RoomOperation] = deque()

    @property
    def busy(self) -> bool:
        """Whether an operation is pending."""
        return bool(self._operations)

    def submit(self, operation: RoomOperation) -> bool:
        """Run a small operation at once if none is pending; otherwise queue it. Errors of queued ones are logged.

        Returns:
            Whether the operation is complete.
        """
        if self._operations:
            self._operations.append(operation)
            return False
        sids = tuple(operation.select())
        if len(sids) <= operation.slice_sockets:
            operation.act(sids)
            operation.then()
            return True
        operation.remaining = dict.fromkeys(sids)
        self._operations.append(operation)
        self._run_slice()
        return False

    async def run(self, operation: RoomOperation) -> None:
        """Submit an operation and wait until it is complete; raises what the operation raises."""
        operation.done = asyncio.get_running_loop().create_future()
        if not self.submit(operation):
            await operation.done

    def flush_for(self, sid: Sid) -> bool:
        """Apply the current operation to one socket now; return whether the socket was still waiting for it."""
        if not self._remove(sid):
            return False
        self._operations[0].act((sid,))
        return True

    def discard(self, sid: Sid) -> None:
        """Leave a disconnected socket out of the current operation."""
        self._remove(sid)

    def _remove(self, sid: Sid) -> bool:
        remaining = self._operations[0].remaining if self._operations else None
        if not remaining or sid not in remaining:
            return False
        del remaining[sid]
        return True

    def _run_slice(self) -> None:
        budget = SLICE_SOCKETS
        while self._operations and budget > 0:
            budget -= self._advance(self._operations[0])
        if self._operations:
            asyncio.get_running_loop().call_soon(self._run_slice)

    def _advance(self, operation: RoomOperation) -> int:
        """Run one slice of an operation, and complete the operation after the last one.

        Returns:
            The cost of the slice, as a number of joining sockets.
        """
        error: Exception | None = None
        cost = 1
        try:
            if operation.remaining is None:
                operation.remaining = dict.fromkeys(operation.select())
            cost += self._act_on_slice(operation, operation.remaining)
            if operation.remaining:
                return cost
            operation.then()
        except Exception as caught:  # noqa: BLE001 - outer edge: `run` raises it, or it is logged
            error = caught
        self._operations.popleft()
        _complete(operation, error)
        return cost

    @staticmethod
    def _act_on_slice(operation: RoomOperation, remaining: dict[Sid, None]) -> int:
        sids = tuple(islice(remaining, operation.slice_sockets))
        for sid in sids:
            del remaining[sid]
        operation.act(sids)
        return len(sids) * SLICE_SOCKETS // operation.slice_sockets


def _complete(operation: RoomOperation, error: Exception | None) -> None:
    if operation.done is None:
        if error is not None:
            log.error("room_operation_failed", exc_info=error)
    elif not operation.done.done():
        if error is None:
            operation.done.set_result(None)
        else:
            operation.done.set_exception(error)
