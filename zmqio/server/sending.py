"""Options of the next event to one client: `socket.volatile.emit(...)`, `socket.timeout(5).emit_with_ack(...)`.

Every step returns a new value, so an intermediate one can be kept and used again.
"""

from collections.abc import Sequence
from typing import Any, Protocol

from zmqio.protocol.room_names import Rooms
from zmqio.server.broadcast import Broadcast

__all__ = ["EmitOptions", "EmitTarget"]


class EmitTarget(Protocol):
    """The part of a socket that these options use."""

    @property
    def broadcast(self) -> Broadcast:
        """An operation on every socket except this one."""

    def emit_nowait(self, event: str, args: Sequence[Any], *, volatile: bool) -> None:
        """Send an event to this client."""

    async def emit_with_ack(self, event: str, *args: Any, timeout: float | None = None) -> Any:
        """Send an event to this client and wait for its acknowledgement."""


class EmitOptions:
    """Sends events to one client with the options chosen so far.

    Args:
        target: the socket.
        volatile: drop the event if the client cannot receive it immediately.
        timeout_s: seconds to wait for an acknowledgement; None waits as long as the client is connected.
    """

    __slots__ = ("_target", "_timeout_s", "_volatile")

    def __init__(self, target: EmitTarget, *, volatile: bool = False, timeout_s: float | None = None) -> None:
        self._target = target
        self._volatile = volatile
        self._timeout_s = timeout_s

    @property
    def volatile(self) -> "EmitOptions":
        """The same options; the event is dropped while earlier packets still wait for the client."""
        return EmitOptions(self._target, volatile=True, timeout_s=self._timeout_s)

    def timeout(self, seconds: float) -> "EmitOptions":
        """Return the same options; `emit_with_ack` waits at most `seconds`."""
        return EmitOptions(self._target, volatile=self._volatile, timeout_s=seconds)

    def compress(self, _on: bool = True, /) -> "EmitOptions":
        """Accepted for compatibility, without effect; see `Broadcast.compress`."""
        return self

    @property
    def broadcast(self) -> Broadcast:
        """An operation on every socket except this one, with the same options."""
        operation = self._target.broadcast
        if self._volatile:
            operation = operation.volatile
        return operation if self._timeout_s is None else operation.timeout(self._timeout_s)

    def to(self, *rooms: Rooms) -> Broadcast:
        """Return an operation on the members of rooms except this socket, with the same options."""
        return self.broadcast.to(*rooms)

    in_ = to

    async def emit(self, event: str, *args: Any) -> None:
        """Send the event. Raises as `Socket.emit`."""
        self._target.emit_nowait(event, args, volatile=self._volatile)

    async def send(self, *args: Any) -> None:
        """Send the event `message`: the same as `emit("message", *args)`."""
        await self.emit("message", *args)

    async def emit_with_ack(self, event: str, *args: Any) -> Any:
        """Send the event, never volatile, and wait for its acknowledgement; see `Socket.emit_with_ack`."""
        return await self._target.emit_with_ack(event, *args, timeout=self._timeout_s)
