"""How the next event goes to one client: `socket.volatile.emit(...)`, `socket.timeout(5).emit_with_ack(...)`.

Every step makes a new value, so one can be kept and used again.
"""

from collections.abc import Sequence
from typing import Any, Protocol

from zmqio.server.broadcast import Broadcast

__all__ = ["EmitOptions", "EmitTarget"]


class EmitTarget(Protocol):
    """What it needs of its socket."""

    @property
    def broadcast(self) -> Broadcast:
        """An operation that reaches everybody but this socket."""

    def post(self, event: str, args: Sequence[Any], *, volatile: bool) -> None:
        """Send an event to this client."""

    async def emit_with_ack(self, event: str, *args: Any, timeout: float | None = None) -> Any:
        """Send an event to this client and wait for its acknowledgement."""


class EmitOptions:
    """An event to one client, with what was asked for.

    Args:
        sender: the socket.
        volatile: whether a client that cannot take it now does without.
        timeout_s: how long its acknowledgement may take; None: as long as it is connected.
    """

    __slots__ = ("_sender", "_timeout_s", "_volatile")

    def __init__(self, sender: EmitTarget, *, volatile: bool = False, timeout_s: float | None = None) -> None:
        self._sender = sender
        self._volatile = volatile
        self._timeout_s = timeout_s

    @property
    def volatile(self) -> "EmitOptions":
        """The client does without it if it cannot take it now, because earlier events still wait for it."""
        return EmitOptions(self._sender, volatile=True, timeout_s=self._timeout_s)

    def timeout(self, seconds: float) -> "EmitOptions":
        """Its acknowledgement may take `seconds`."""
        return EmitOptions(self._sender, volatile=self._volatile, timeout_s=seconds)

    def compress(self, _on: bool = True, /) -> "EmitOptions":
        """Accepted and without effect, see `Broadcast.compress`."""
        return self

    @property
    def broadcast(self) -> Broadcast:
        """An operation that reaches everybody but this socket, with the same flags."""
        operation = self._sender.broadcast
        if self._volatile:
            operation = operation.volatile
        return operation if self._timeout_s is None else operation.timeout(self._timeout_s)

    def to(self, *rooms: str) -> Broadcast:
        """An operation that reaches the members of rooms, but not this socket, with the same flags."""
        return self.broadcast.to(*rooms)

    in_ = to

    async def emit(self, event: str, *args: Any) -> None:
        """Send the event. Raises as `Socket.emit`."""
        self._sender.post(event, args, volatile=self._volatile)

    async def emit_with_ack(self, event: str, *args: Any) -> Any:
        """Send the event, never volatile, and wait for the acknowledgement. Raises as `Socket.emit_with_ack`."""
        return await self._sender.emit_with_ack(event, *args, timeout=self._timeout_s)
