"""The contracts on both sides of a session.

- `ConnectionEvents`: the events that a session reports to the layer above.
- `Transport`: the outgoing side of a session, which sends its packets.
"""

from collections.abc import Awaitable
from typing import Literal, Protocol

from zmqio.engine.packets import Prepared

__all__ = ["ConnectionEvents", "Transport", "TransportName"]

TransportName = Literal["polling", "websocket"]


class ConnectionEvents(Protocol):
    """Receives the events of one connection; each connection has its own object."""

    def message(self, data: str | bytes) -> Awaitable[None] | None:
        """Handle one Engine.IO message; called in the order in which the client sent them.

        Returns:
            None, or an awaitable. The engine reads nothing more from this client until it completes (inbound
            back-pressure). It must complete soon after `closed`.
        """

    def upgraded(self) -> None:
        """Handle the change of the transport from polling to WebSocket; called at most once."""

    def closed(self, reason: str) -> None:
        """Handle the end of the session; called exactly once, by the event loop and never inside another call."""


class Transport(Protocol):
    """The outgoing side of a session: sends its packets in answers to polls, or over a WebSocket."""

    @property
    def ready(self) -> bool:
        """Whether a packet would be sent now rather than buffered."""

    @property
    def empty(self) -> bool:
        """Whether all accepted packets have left the process. Once they have, `Session.drained` is called."""

    def offer(self, prepared: Prepared) -> bool:
        """Send packets past the session's send buffer, which is empty; return False if they must be buffered."""

    def flush(self) -> None:
        """Begin to send the session's buffered packets; called after packets were added."""

    def begin_close(self) -> None:
        """Append the packet with which the protocol closes; the session ends once everything is sent."""

    def end(self, *, farewell: Prepared, code: int, abort: bool) -> None:
        """Release waiting requests and send nothing further: the session has ended.

        Args:
            farewell: the answer to a waiting poll.
            code: the code of a WebSocket's Close frame.
            abort: the client does not read; do not try to reach it.
        """
