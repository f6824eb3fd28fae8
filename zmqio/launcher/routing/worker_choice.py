"""Choose the worker for a connection. Pure: knows workers by slot, tag and number of connections.

A session id begins with the tag of the worker that made it (`zmqio.ids`), so its owner needs no table. A new
session goes to the worker with the fewest connections, or to the one that its address stands for.
"""

import hashlib
from collections.abc import Iterator
from typing import Generic, Literal, Protocol, TypeVar

from zmqio.ids import NodeTag, is_sid_shaped, tag_of

__all__ = ["Candidate", "Sticky", "WorkerChoice"]

Sticky = Literal["sid", "address", "none"]


class Candidate(Protocol):
    """What has to be known of a worker."""

    @property
    def slot(self) -> int:
        """Its place; the worker that follows it there has the same."""

    @property
    def tag(self) -> NodeTag:
        """Begins every session id that it makes."""

    @property
    def connections(self) -> int:
        """How many it has."""


Worker = TypeVar("Worker", bound=Candidate)


class WorkerChoice(Generic[Worker]):
    """The workers that can be chosen, and the rule.

    Args:
        sticky: `sid`: a known session's owner, else the one with the fewest connections. `address`: a known
            session's owner, else the one that the address stands for; when a worker goes, only its addresses
            move. `none`: one after the other, whatever the request says.
        after_slot: among equals the first one chosen is that of the next slot; several choices over the same
            workers begin at different ones, so that their first connections do not all go to the same.
    """

    def __init__(self, sticky: Sticky, *, after_slot: int = -1) -> None:
        self._sticky = sticky
        self._owners: dict[str, Worker] = {}
        self._takers: list[Worker] = []
        self._last = after_slot

    def __iter__(self) -> Iterator[Worker]:
        """Every worker that still gets connections."""
        return iter(tuple(self._owners.values()))

    @property
    def open(self) -> bool:
        """Whether any worker takes new sessions."""
        return bool(self._takers)

    def add(self, worker: Worker) -> None:
        """A worker is ready."""
        self._owners[worker.tag] = worker
        self._takers.append(worker)

    def retire(self, worker: Worker) -> None:
        """It gets no new session any more; the requests of those that it has still reach it."""
        if worker in self._takers:
            self._takers.remove(worker)

    def remove(self, worker: Worker) -> None:
        """It gets nothing any more."""
        self.retire(worker)
        if self._owners.get(worker.tag) is worker:
            del self._owners[worker.tag]

    def pick(self, sid: str | None, address: str | None) -> Worker | None:
        """The worker for a request; None while there is none.

        Args:
            sid: what its query names as session id; an unknown one goes where a new session would, and is
                refused there.
            address: of its client; None if it has none (a unix socket), which counts as a new session by `sid`.
        """
        if self._sticky != "none" and sid is not None and is_sid_shaped(sid):
            owner = self._owners.get(tag_of(sid))
            if owner is not None:
                return owner
        if not self._takers:
            return None
        if self._sticky == "address" and address is not None:
            return max(self._takers, key=lambda worker: _weight(address, worker.slot))
        return self._next_of_fewest() if self._sticky != "none" else self._next(self._takers)

    def _next_of_fewest(self) -> Worker:
        fewest = min([worker.connections for worker in self._takers])
        return self._next([worker for worker in self._takers if worker.connections == fewest])

    def _next(self, workers: list[Worker]) -> Worker:
        """In turn, so that workers with as many connections get as many."""
        following = [worker for worker in workers if worker.slot > self._last]
        chosen = min(following or workers, key=lambda worker: worker.slot)
        self._last = chosen.slot
        return chosen


def _weight(address: str, slot: int) -> bytes:
    """Rendezvous hashing: every address ranks all slots, and takes the highest that lives."""
    return hashlib.blake2b(f"{slot} {address}".encode(), digest_size=8).digest()
