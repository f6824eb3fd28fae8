"""Choose the worker for a connection. Pure: knows workers by slot, node tag and number of connections.

A session id begins with the node tag of the worker that created it (`zmqio.ids`), so finding the owner needs no
table. A new session goes to the worker with the fewest connections, or to the one its client's address maps to.
"""

import hashlib
from collections.abc import Iterator
from typing import Generic, Literal, Protocol, TypeVar

from zmqio.ids import NodeTag, is_sid_shaped, tag_of

__all__ = ["Candidate", "Sticky", "WorkerChoice"]

Sticky = Literal["sid", "address", "none"]


class Candidate(Protocol):
    """The facts of a worker that the choice depends on."""

    @property
    def slot(self) -> int:
        """Number of its slot, which its successor shares."""

    @property
    def tag(self) -> NodeTag:
        """Node tag, with which every session id of the worker begins."""

    @property
    def connections(self) -> int:
        """Number of open connections."""


Worker = TypeVar("Worker", bound=Candidate)


class WorkerChoice(Generic[Worker]):
    """The available workers, and the rule by which one is chosen.

    Args:
        sticky: `sid` chooses the owner of a known session, else the worker with the fewest connections. `address`
            chooses the owner of a known session, else the worker that the client's address maps to; when a worker
            leaves, only its addresses are mapped to others. `none` chooses workers in turn.
        after_slot: the turn begins behind this slot. Several acceptors begin at different slots, so that their
            first connections do not all reach the same worker.
    """

    def __init__(self, sticky: Sticky, *, after_slot: int = -1) -> None:
        self._sticky = sticky
        self._owners: dict[str, Worker] = {}
        self._accepting: list[Worker] = []
        self._suspended: dict[Worker, bool] = {}
        self._last_slot = after_slot

    def __iter__(self) -> Iterator[Worker]:
        """Iterate over the workers that may get connections."""
        return iter(tuple(self._owners.values()))

    @property
    def accepts_sessions(self) -> bool:
        """Whether any worker accepts new sessions."""
        return bool(self._accepting)

    def add(self, worker: Worker) -> None:
        """Make a worker available."""
        self._owners[worker.tag] = worker
        self._accepting.append(worker)

    def retire(self, worker: Worker) -> None:
        """Stop choosing a worker for new sessions; requests of its existing sessions still reach it."""
        if worker in self._accepting:
            self._accepting.remove(worker)
        elif worker in self._suspended:
            self._suspended[worker] = False

    def suspend(self, worker: Worker) -> None:
        """Stop choosing a worker for new sessions until `resume`. It remains the owner of its sessions."""
        if worker not in self._suspended and self._owners.get(worker.tag) is worker:
            accepts = worker in self._accepting
            self.retire(worker)
            self._suspended[worker] = accepts

    def resume(self, worker: Worker) -> None:
        """Choose a suspended worker again, unless it was retired."""
        if self._suspended.pop(worker, False):
            self._accepting.append(worker)

    def is_suspended(self, worker: Worker) -> bool:
        """Whether the worker is suspended."""
        return worker in self._suspended

    def remove(self, worker: Worker) -> None:
        """Stop choosing a worker at all."""
        self.retire(worker)
        self._suspended.pop(worker, None)
        if self._owners.get(worker.tag) is worker:
            del self._owners[worker.tag]

    def pick(self, sid: str | None, address: str | None) -> Worker | None:
        """Return the worker for a request, or None if no worker is available.

        Args:
            sid: session id in the query of the request. An unknown one is treated as a new session; the worker
                rejects it.
            address: address of the client; None on a unix socket, where `address` chooses by connections instead.
        """
        if self._sticky != "none" and sid is not None and is_sid_shaped(sid):
            owner = self._owners.get(tag_of(sid))
            if owner is not None:
                return owner
        if not self._accepting:
            return None
        if self._sticky == "address" and address is not None:
            return max(self._accepting, key=lambda worker: _weight(address, worker.slot))
        return self._next_of_fewest() if self._sticky != "none" else self._next(self._accepting)

    def _next_of_fewest(self) -> Worker:
        fewest = min([worker.connections for worker in self._accepting])
        return self._next([worker for worker in self._accepting if worker.connections == fewest])

    def _next(self, workers: list[Worker]) -> Worker:
        """Choose in turn, so that equally loaded workers get equally many connections."""
        following = [worker for worker in workers if worker.slot > self._last_slot]
        chosen = min(following or workers, key=lambda worker: worker.slot)
        self._last_slot = chosen.slot
        return chosen


def _weight(address: str, slot: int) -> bytes:
    """Rendezvous hashing: each address ranks all slots, and the highest-ranked available slot is chosen."""
    return hashlib.blake2b(f"{slot} {address}".encode(), digest_size=8).digest()
