"""Free loopback ports for servers that cannot bind port 0 themselves."""

import random
import socket
from contextlib import ExitStack

__all__ = ["free_port", "free_port_block"]

LOOPBACK = "127.0.0.1"
# Below the range that Linux gives to outgoing connections (32768 and up), so nothing takes one by chance.
FIRST_PORT, LAST_PORT = 10_000, 32_000
ATTEMPTS = 200


def free_port() -> int:
    """A port that was free a moment ago."""
    return free_port_block(1)


def free_port_block(count: int) -> int:
    """The first of `count` adjacent ports that were free a moment ago."""
    for _ in range(ATTEMPTS):
        first = random.randrange(FIRST_PORT, LAST_PORT - count)
        if _are_free(range(first, first + count)):
            return first
    raise AssertionError(f"no {count} adjacent free ports after {ATTEMPTS} attempts")


def _are_free(ports: range) -> bool:
    with ExitStack() as stack:
        try:
            for port in ports:
                stack.enter_context(socket.create_server((LOOPBACK, port)))
        except OSError:
            return False
    return True
