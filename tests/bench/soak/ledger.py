"""The messages that an emitter has emitted, in a file that outlives its process.

Eight bytes per message: the time of the emit in nanoseconds; 0 if not emitted yet; negative if the emit raised.
"""

import mmap
from array import array
from pathlib import Path

__all__ = ["Ledger", "read_ledger"]

ENTRY_BYTES = 8


class Ledger:
    """The ledger of one emitter, written while it emits.

    Args:
        path: path of the file, which is created.
        capacity: most messages; the emitter stops when it is reached.
    """

    def __init__(self, path: Path, capacity: int) -> None:
        with path.open("wb+") as file:
            file.truncate(capacity * ENTRY_BYTES)
            self._entries = memoryview(mmap.mmap(file.fileno(), 0)).cast("q")
        self.capacity = capacity

    def emitted(self, number: int, at_ns: int) -> None:
        """Record a message before it is emitted."""
        self._entries[number] = at_ns

    def refused(self, number: int) -> None:
        """Record that the emit raised."""
        self._entries[number] = -self._entries[number]


def read_ledger(path: Path) -> "array[int]":
    """Return the entries up to the last one that is not 0."""
    entries = array("q", path.read_bytes())
    count = len(entries)
    while count and not entries[count - 1]:
        count -= 1
    return entries[:count]
