"""A limit on the memory of all request bodies that one process has received in part.

Beyond the limit the oldest body ends first: the bodies of honest clients are complete within seconds.

Knows nothing of bodies: members are any hashable objects.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["MAX_INCOMPLETE_BYTES", "IncompleteBodies"]

MAX_INCOMPLETE_BYTES = 64 << 20
"""Most bytes that all incomplete bodies of one process take."""

T = TypeVar("T")


class IncompleteBodies(Generic[T]):
    """The sizes of incomplete bodies.

    Args:
        displace: called with each body that must end; it is already forgotten.
        max_bytes: most bytes of all bodies. One body of any size is always accepted.
    """

    def __init__(self, displace: Callable[[T], None], max_bytes: int = MAX_INCOMPLETE_BYTES) -> None:
        self._displace = displace
        self._max_bytes = max_bytes
        self._sizes: OrderedDict[T, int] = OrderedDict()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._sizes)

    def set_size(self, body: T, size: int) -> None:
        """Note that an incomplete body has this size now; end the oldest ones if all take too much memory."""
        self._bytes += size - self._sizes.get(body, 0)
        self._sizes[body] = size
        while self._bytes > self._max_bytes and len(self._sizes) > 1:
            oldest = next(iter(self._sizes))
            self.remove(oldest)
            self._displace(oldest)

    def remove(self, body: T) -> None:
        """Forget a body that is complete or given up; does nothing if it is unknown."""
        self._bytes -= self._sizes.pop(body, 0)
