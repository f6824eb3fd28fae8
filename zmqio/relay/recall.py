"""Answers that have left and may still come back: remembered for a while, within bounds. Pure."""

from collections.abc import Callable, Hashable

__all__ = ["ResponseUndoLog"]

ANSWERS_KEPT = 1_000
BYTES_KEPT = 8 << 20


class ResponseUndoLog:
    """How each of the newest answers is taken back.

    A client that hangs up while its answer is under way between two nodes is told of within one way over the
    bus, so little has to be kept.

    Args:
        answers_kept: beyond it the oldest is forgotten, and stays lost as an answer does that a dying
            connection has swallowed.
        bytes_kept: sum of the answers' sizes; the same.
    """

    def __init__(self, answers_kept: int = ANSWERS_KEPT, bytes_kept: int = BYTES_KEPT) -> None:
        self._answers_kept = answers_kept
        self._bytes_kept = bytes_kept
        self._undos: dict[Hashable, tuple[Callable[[], None], int]] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._undos)

    def keep(self, key: Hashable, undo: Callable[[], None], size_bytes: int) -> None:
        """Remember an answer; `key` must be new."""
        self._undos[key] = undo, size_bytes
        self._bytes += size_bytes
        while len(self._undos) > self._answers_kept or self._bytes > self._bytes_kept:
            self._take(next(iter(self._undos)))

    def recall(self, key: Hashable) -> bool:
        """Take an answer back; False if it is not remembered (any more)."""
        if key not in self._undos:
            return False
        self._take(key)()
        return True

    def _take(self, key: Hashable) -> Callable[[], None]:
        undo, size_bytes = self._undos.pop(key)
        self._bytes -= size_bytes
        return undo
