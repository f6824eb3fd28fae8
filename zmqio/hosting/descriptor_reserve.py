"""A reserve of descriptors that connections of clients must not use.

A process without free descriptors cannot open files, start children, or connect to a broker again, and asyncio
(Python 3.11, 3.12) logs a thousand failed attempts to accept per second.
"""

import os
import resource
import sys

__all__ = ["DescriptorReserve"]

MAX_RESERVED = 64
"""Descriptors in the reserve; fewer if an eighth of all is less."""


class DescriptorReserve:
    """The last descriptors of this process.

    The system gives each new descriptor the lowest free number. The number of a new connection therefore shows how
    many are free, at no cost.
    """

    def __init__(self) -> None:
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        limit = sys.maxsize if soft == resource.RLIM_INFINITY else soft
        self._first = limit - min(MAX_RESERVED, limit // 8)

    def includes(self, descriptor: int) -> bool:
        """Whether a new descriptor comes from the reserve."""
        return descriptor >= self._first

    def is_reached(self, descriptor: int) -> bool:
        """Whether the next descriptor would come from the reserve, if this one is the newest."""
        return descriptor + 1 >= self._first

    def is_untouched(self) -> bool:
        """Whether the next two descriptors come from outside the reserve."""
        try:
            probe = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return False
        os.close(probe)
        return not self.is_reached(probe)
