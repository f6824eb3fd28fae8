"""Requests of clients that have closed their sending side: answer them, or disconnect the application.

Such a client may still be reading, or may be gone. The application's next `receive()` distinguishes the two cases.
An application that is computing an answer may finish it. An application that asks for more after the whole body,
as a long poll does, is disconnected at once, before it sends an answer that is lost.

Knows the contract of a request cycle (see `request_cycle`).
"""

from collections.abc import Callable
from typing import Any

__all__ = ["HalfClosedMessageEvent", "answer_half_closed"]


class HalfClosedMessageEvent:
    """Replaces the `message_event` of a request whose client sends nothing more.

    Args:
        unread: whether the application has yet to read the last part of the request.
        on_disconnect: called when the application asks for more than that. It is forgotten at the end of the
            request, to which it refers.
    """

    __slots__ = ("_on_disconnect", "_unread")

    def __init__(self, unread: bool, on_disconnect: Callable[[], None]) -> None:
        self._unread = unread
        self._on_disconnect: Callable[[], None] | None = on_disconnect

    async def wait(self) -> bool:
        """Return at once, because nothing more can arrive."""
        if not self._unread and self._on_disconnect is not None:
            self._on_disconnect()
        return True

    def clear(self) -> None:
        """Mark the last part of the request as read."""
        self._unread = False

    def set(self) -> None:
        """Note that the answer is complete or the client is gone: `receive()` no longer waits."""
        self._on_disconnect = None

    def is_set(self) -> bool:
        """Whether the last part of the request is unread."""
        return self._unread


def answer_half_closed(cycle: Any, close: Callable[[], None], *, is_last: bool = True) -> bool:
    """Let the current request be answered, although its client sends nothing more.

    Args:
        cycle: the `RequestCycle` of the current request, or None.
        close: closes the connection.
        is_last: whether the connection is closed after the answer.

    Returns:
        False, with nothing changed, if there is no complete request without an answer.
    """
    if cycle is None or cycle.response_complete or cycle.more_body:
        return False

    def disconnect() -> None:
        cycle.disconnected = True
        close()

    waited_for = cycle.message_event
    cycle.keep_alive = cycle.keep_alive and not is_last
    cycle.message_event = HalfClosedMessageEvent(waited_for.is_set(), disconnect)
    waited_for.set()  # an application that waits gets an empty message, asks again, and is disconnected then
    return True
