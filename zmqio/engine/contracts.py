"""The contracts around a session, to be read together.

- `ConnectionEvents`  session -> the layer above: what a connection reports
- `Transport`            session -> its transport: where packets leave the process
"""

from collections.abc import Awaitable
from typing import Literal, Protocol

from zmqio.engine.packets import Prepared

__all__ = ["ConnectionEvents", "Transport", "TransportName"]

TransportName = Literal["polling", "websocket"]


class ConnectionEvents(Protocol):
    """What a session reports to the layer above; one object for each connection."""

    def message(self, data: str | bytes) -> Awaitable[None] | None:
        """Take one Engine.IO message; called in the client's order.

        Returns:
            None, or an awaitable: the engine reads no more from this client until it is done (inbound
            back-pressure). It has to end soon after `closed`.
        """

    def closed(self, reason: str) -> None:
        """The session has ended: called exactly once, from the event loop and never inside another call."""


class Transport(Protocol):
    """Where the packets of a session leave the process: a poll, or a WebSocket."""

    @property
    def ready(self) -> bool:
        """Whether a packet would leave now rather than wait."""

    @property
    def empty(self) -> bool:
        """Whether all that it has taken has left the process; when that comes true, it calls `Session.drained`."""

    def offer(self, prepared: Prepared) -> bool:
        """Take a packet past the session's buffer, in which nothing waits; False if it has to wait."""

    def flush(self) -> None:
        """Begin to send what waits; called whenever something was added."""

    def begin_close(self) -> None:
        """The session is about to end: add what the protocol sends last."""

    def end(self, *, farewell: Prepared, code: int, abort: bool) -> None:
        """The session has ended: release whoever waits for it, and nothing leaves any more.

        Args:
            farewell: what a waiting poll is answered with.
            code: the code of a WebSocket's Close frame.
            abort: the client does not read: do not try to reach it.
        """
