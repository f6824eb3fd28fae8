"""The transport of every session that has ended, in place of its own.

A session and its transport refer to each other, so only a run of the garbage collector would free them.
"""

from zmqio.engine.packets import Prepared

__all__ = ["ENDED"]


class _EndedTransport:
    """A `Transport` that sends nothing."""

    __slots__ = ()

    ready = False
    empty = True

    def offer(self, prepared: Prepared) -> bool:
        """Always False: nothing can be sent."""
        return False

    def flush(self) -> None:
        """Do nothing."""

    def begin_close(self) -> None:
        """Do nothing."""

    def end(self, *, farewell: Prepared, code: int, abort: bool) -> None:
        """Do nothing."""


ENDED = _EndedTransport()
