"""Ends a worker whose parent is gone, even if its event loop is blocked and cannot notice."""

import os
import select
import signal
import socket
import threading

__all__ = ["kill_without_parent"]


def kill_without_parent(link: socket.socket, timeout_s: float) -> None:
    """Kill this process by SIGALRM once the parent has been gone for some time.

    Args:
        link: the socket to the parent, which may be closed later.
        timeout_s: seconds that the process has to stop by itself.
    """
    own = os.dup(link.fileno())
    threading.Thread(target=_wait_for_end, args=(own, timeout_s), name="parent", daemon=True).start()


def _wait_for_end(descriptor: int, timeout_s: float) -> None:
    poll = select.poll()
    poll.register(descriptor, 0)  # reports only that the parent's end is closed
    poll.poll()
    signal.alarm(max(1, round(timeout_s)))
