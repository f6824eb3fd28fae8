"""The argument of the events that the nodes broadcast: text that begins with the time of the emit."""

import time

__all__ = ["stamped"]

OVERHEAD_BYTES = len('42["m",""]')


def stamped(size_bytes: int) -> str:
    """Text that makes the packet `42["m",TEXT]` `size_bytes` long: CLOCK_MONOTONIC in nanoseconds, then `x`s."""
    return f"{time.monotonic_ns()}".ljust(size_bytes - OVERHEAD_BYTES, "x")
