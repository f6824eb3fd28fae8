"""What is done to the rooms of a namespace, one thing after the other: a big one in slices, the rest behind it.

While nothing waits, whatever concerns at most a slice of sockets happens at once. A bigger operation leaves the
loop free between its slices, and then everything later waits for its turn: a broadcast right behind a join of ten
thousand sockets reaches all of them. What one socket does itself (join, leave, disconnect) does not wait: it
happens at once, after what the operation that is under way still had to do to that socket.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from itertools import islice

import structlog

from zmqio.ids import Sid

__all__ = ["SLICE_SOCKETS", "RoomOperation", "RoomOperationQueue"]

log = structlog.get_logger(__name__)

SLICE_SOCKETS = 500
"""Sockets that join or leave in one turn of the loop: about 3 ms with two rooms (the target is 10 ms)."""


def _nobody() -> Collection[Sid]:
    return ()


def _nothing(_sids: Sequence[Sid] = ()) -> None:
    """Do nothing."""


@dataclass(slots=True)
class RoomOperation:
    """One thing to do.

    Attributes:
        select: gives the sockets that it concerns, when its turn has come.
        act: does it to a slice of them; never to one that has disconnected meanwhile.
        then: what comes after the last slice, in the same turn.
        slice_sockets: most sockets given to `act` at once.
    """

    select: Callable[[], Collection[Sid]] = _nobody
    act: Callable[[Sequence[Sid]], None] = _nothing
    then: Callable[[], None] = _nothing
    slice_sockets: int = SLICE_SOCKETS
    done: asyncio.Future[None] | None = None
    waiting: dict[Sid, None] | None = None


class RoomOperationQueue:
    """The FIFO of one namespace.

    Bounded by the time that its largest operation takes: meanwhile each turn of the loop takes away more than the
    bus brings in one.
    """

    def __init__(self) -> None:
        self._works: deque[RoomOperation] = deque()

    @property
    def busy(self) -> bool:
        """Whether something waits for its turn."""
        return bool(self._works)

    def submit(self, work: RoomOperation) -> bool:
        """Do it now if it is small and nothing waits, else in its turn; an error in its turn is logged.

        Returns:
            Whether it is done.
        """
        if self._works:
            self._works.append(work)
            return False
        sids = tuple(work.select())
        if len(sids) <= work.slice_sockets:
            work.act(sids)
            work.then()
            return True
        work.waiting = dict.fromkeys(sids)
        self._works.append(work)
        self._run_slice()
        return False

    async def run(self, work: RoomOperation) -> None:
        """As `submit`; returns when it is done, and raises what it raises."""
        work.done = asyncio.get_running_loop().create_future()
        if not self.submit(work):
            await work.done

    def flush_for(self, sid: Sid) -> None:
        """Do now to one socket what the operation under way still has to do to it."""
        if self._take_out(sid):
            self._works[0].act((sid,))

    def discard(self, sid: Sid) -> None:
        """The socket has disconnected: nothing more is done to it."""
        self._take_out(sid)

    def _take_out(self, sid: Sid) -> bool:
        waiting = self._works[0].waiting if self._works else None
        if not waiting or sid not in waiting:
            return False
        del waiting[sid]
        return True

    def _run_slice(self) -> None:
        left = SLICE_SOCKETS
        while self._works and left > 0:
            left -= self._advance(self._works[0])
        if self._works:
            asyncio.get_running_loop().call_soon(self._run_slice)

    def _advance(self, work: RoomOperation) -> int:
        """Do one slice of work, or end it.

        Returns:
            The share of a turn that it took, in sockets that join.
        """
        error: Exception | None = None
        share = 1
        try:
            if work.waiting is None:
                work.waiting = dict.fromkeys(work.select())
            share += self._do_slice(work, work.waiting)
            if work.waiting:
                return share
            work.then()
        except Exception as caught:  # noqa: BLE001 - outer edge: it goes to whoever waits, or is logged; others go on
            error = caught
        self._works.popleft()
        _settle(work, error)
        return share

    @staticmethod
    def _do_slice(work: RoomOperation, waiting: dict[Sid, None]) -> int:
        some = tuple(islice(waiting, work.slice_sockets))
        for sid in some:
            del waiting[sid]
        work.act(some)
        return len(some) * SLICE_SOCKETS // work.slice_sockets


def _settle(work: RoomOperation, error: Exception | None) -> None:
    if work.done is None:
        if error is not None:
            log.error("room_operation_failed", exc_info=error)
    elif not work.done.done():
        if error is None:
            work.done.set_result(None)
        else:
            work.done.set_exception(error)
