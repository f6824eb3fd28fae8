"""A client that has closed its side after a whole request still gets its answer.

The end of what a client sends looks the same whether it only sends nothing more or has gone altogether. An
application that computes an answer may as well finish it; one that does nothing but wait to hear that the client
has gone (a long poll) has to hear it now, or what it would send is lost. Which of the two it is shows in what it
asks for: the first message after the whole body is `http.disconnect`.

Knows uvicorn's request cycle; must not know sockets.
"""

from collections.abc import Callable
from typing import Any

__all__ = ["HalfCloseWatch", "half_close"]


class HalfCloseWatch:
    """Stands in for the `message_event` of a cycle whose client sends nothing more.

    Args:
        unread: whether the application has yet to read what came of the request.
        gone: called when it asks for more than that: then it takes the client for gone.
    """

    __slots__ = ("_gone", "_unread")

    def __init__(self, unread: bool, gone: Callable[[], None]) -> None:
        self._unread = unread
        self._gone = gone

    async def wait(self) -> bool:
        """Never waits: nothing more can come."""
        if not self._unread:
            self._gone()
        return True

    def clear(self) -> None:
        """What came was read."""
        self._unread = False

    def set(self) -> None:
        """The answer is complete; nobody waits here."""

    def is_set(self) -> bool:
        """Whether there is something to read."""
        return self._unread


def half_close(cycle: Any, gone: Callable[[], None]) -> bool:
    """Let the request that runs be answered, as the last of its connection.

    Args:
        cycle: uvicorn's `RequestResponseCycle` of the last request.
        gone: closes the connection.

    Returns:
        False if there is no request, or not all of one: then nothing is changed.
    """
    if cycle is None or cycle.response_complete or cycle.more_body:
        return False

    def leave() -> None:
        cycle.disconnected = True
        gone()

    waited_for = cycle.message_event
    cycle.keep_alive = False
    cycle.message_event = HalfCloseWatch(waited_for.is_set(), leave)
    waited_for.set()  # an application that waits already gets an empty message, asks again, and hears it then
    return True
