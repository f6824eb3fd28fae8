"""ZeroMQ contexts that survive a fork: made when first needed, one for each owner and process.

A context has threads, and threads do not survive a fork: a child that uses its parent's context waits for
ever. So whoever opens sockets holds a `ProcessContext` and asks it each time; in a child it makes a new one.
The parent's is kept, never used and never terminated there (that would wait for threads that do not exist).

One context for each owner, not one for the process: `term` is the only call that tells when the last message
has left, and it concerns every socket of a context.
"""

import os

import zmq

__all__ = ["ProcessContext", "SyncContext", "SyncSocket"]

SyncSocket = zmq.Socket[bytes]
SyncContext = zmq.Context[SyncSocket]


class ProcessContext:
    """The context of one owner in this process. Safe to use from several threads."""

    def __init__(self) -> None:
        # By pid: `setdefault` is atomic, and what a parent made stays referenced, so nothing collects it here.
        self._by_pid: dict[int, SyncContext] = {}

    def get(self) -> SyncContext:
        """The context of this process; made if it is not there yet."""
        pid = os.getpid()
        context = self._by_pid.get(pid)
        if context is None:
            # Made outside `setdefault`'s atomic step: of two threads that race, one's is dropped unused.
            context = self._by_pid.setdefault(pid, zmq.Context())
        return context

    def is_here(self) -> bool:
        """Whether this process has made the context (a child of one that did has not)."""
        return os.getpid() in self._by_pid

    def term(self) -> None:
        """End this process's context, if there is one; waits for what its closed sockets still send (linger).

        Every socket must have been closed, or this waits for ever.
        """
        context = self._by_pid.pop(os.getpid(), None)
        if context is not None:
            context.term()
