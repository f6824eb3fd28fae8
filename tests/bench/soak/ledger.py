"""What an emitter has emitted, in a file that outlives its process: a killed node can still be asked.

Eight bytes for each number: the time of the emit in nanoseconds, 0 for none yet, negative for one that raised.
"""

import mmap
from array import array
from pathlib import Path

__all__ = ["Ledger", "read_ledger"]

ENTRY_BYTES = 8


class Ledger:
    """Written by one emitter, while it emits.

    Args:
        path: of the file, which is made.
        capacity: most messages; the emitter stops there.
    """

    def __init__(self, path: Path, capacity: int) -> None:
        with path.open("wb+") as file:
            file.truncate(capacity * ENTRY_BYTES)
            self._entries = memoryview(mmap.mmap(file.fileno(), 0)).cast("q")
        self.capacity = capacity

    def emitted(self, number: int, at_ns: int) -> None:
        """Note a message, before it is emitted."""
        self._entries[number] = at_ns

    def refused(self, number: int) -> None:
        """The emit raised."""
        self._entries[number] = -self._entries[number]


def read_ledger(path: Path) -> "array[int]":
    """The entries up to the last one that is not 0."""
    entries = array("q", path.read_bytes())
    count = len(entries)
    while count and not entries[count - 1]:
        count -= 1
    return entries[:count]
