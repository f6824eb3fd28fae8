"""Reports at once that a process of this machine has ended. Knows node ids only as names of processes.

Linux only (a file descriptor of the process, "pidfd"); elsewhere nothing is reported.
"""

import asyncio
import os
import sys
from collections.abc import Callable
from contextlib import suppress

from zmqio.ids import NodeId

__all__ = ["ProcessWatch"]


class ProcessWatch:
    """Watches at most one process for each node. Belongs to the running event loop.

    Args:
        on_end: called once for a node whose process has ended.
    """

    def __init__(self, on_end: Callable[[NodeId], None]) -> None:
        self._on_end = on_end
        self._watched: dict[NodeId, tuple[int, asyncio.AbstractEventLoop]] = {}

    def add(self, node_id: NodeId, pid: int) -> None:
        """Watch a process, if the system allows it."""
        self.remove(node_id)
        if sys.platform != "linux" or pid == os.getpid():
            return
        with suppress(OSError, OverflowError, ValueError):
            descriptor, loop = os.pidfd_open(pid), asyncio.get_running_loop()
            self._watched[node_id] = descriptor, loop
            loop.add_reader(descriptor, self._ended, node_id)

    def remove(self, node_id: NodeId) -> None:
        """Stop watching the process of a node."""
        if node_id in self._watched:
            descriptor, loop = self._watched.pop(node_id)
            if not loop.is_closed():
                loop.remove_reader(descriptor)
            os.close(descriptor)

    def close(self) -> None:
        """Stop watching."""
        for node_id in list(self._watched):
            self.remove(node_id)

    def _ended(self, node_id: NodeId) -> None:
        self.remove(node_id)
        self._on_end(node_id)
