"""ZeroMQ contexts that survive a fork: created on first use, one for each owner and process.

A context has threads, and threads do not survive a fork: a child that uses its parent's context hangs. Each owner
of sockets therefore holds a `ProcessContext`, which creates another context in a child. The parent's context is
kept there but never used or terminated, which would wait for threads that do not exist.

Each owner has its own context rather than one for the process: `term` is the only call that shows when the last
message has been sent, and it covers all sockets of a context.
"""

import os

import zmq

__all__ = ["ProcessContext", "SyncContext", "SyncSocket"]

SyncSocket = zmq.Socket[bytes]
SyncContext = zmq.Context[SyncSocket]


class ProcessContext:
    """The context of one owner in the current process. Thread-safe."""

    def __init__(self) -> None:
        # By pid: `setdefault` is atomic, and the parent's context stays referenced, so it is never collected here.
        self._by_pid: dict[int, SyncContext] = {}

    def get(self) -> SyncContext:
        """Return the context of this process, created on the first call."""
        pid = os.getpid()
        context = self._by_pid.get(pid)
        if context is None:
            # `setdefault` alone is atomic: of two threads that race, one has created a context that is not used.
            context = self._by_pid.setdefault(pid, zmq.Context())
        return context

    def exists_here(self) -> bool:
        """Return whether this process has created the context; False in a forked child that has not."""
        return os.getpid() in self._by_pid

    def term(self) -> None:
        """Terminate the context of this process, if any, after its closed sockets have lingered.

        Blocks forever if a socket of the context has not been closed.
        """
        context = self._by_pid.pop(os.getpid(), None)
        if context is not None:
            context.term()
