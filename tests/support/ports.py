"""Free loopback ports for servers that cannot bind port 0 themselves."""

import os
import random
import socket
from collections import deque
from contextlib import ExitStack

__all__ = ["free_port", "free_port_block"]

LOOPBACK = "127.0.0.1"
# Below the range that Linux gives to outgoing connections (32768 and up), so nothing takes one by chance.
FIRST_PORT, LAST_PORT = 10_000, 32_000
MOST_WORKERS = 8
ATTEMPTS = 500

# A generator of its own: hypothesis seeds the global one, and gives every worker the same numbers.
_random = random.SystemRandom()
_given: deque[int] = deque(maxlen=400)


def free_port() -> int:
    """A port that was free just now, and that this process has not returned recently."""
    return free_port_block(1)


def free_port_block(count: int) -> int:
    """The first of `count` adjacent ports of that kind; workers that run side by side share none."""
    ports_of_us = _share(os.environ.get("PYTEST_XDIST_WORKER", ""))
    for _ in range(ATTEMPTS):
        first = _random.randrange(ports_of_us.start, ports_of_us.stop - count)
        block = range(first, first + count)
        if not any(port in _given for port in block) and _are_free(block):
            _given.extend(block)
            return first
    raise AssertionError(f"no {count} adjacent free ports after {ATTEMPTS} attempts")


def _share(worker: str) -> range:
    if not worker:
        return range(FIRST_PORT, LAST_PORT)
    size = (LAST_PORT - FIRST_PORT) // MOST_WORKERS
    first = FIRST_PORT + int(worker.removeprefix("gw")) % MOST_WORKERS * size
    return range(first, first + size)


def _are_free(ports: range) -> bool:
    with ExitStack() as stack:
        try:
            for port in ports:
                stack.enter_context(socket.create_server((LOOPBACK, port)))
        except OSError:
            return False
    return True
