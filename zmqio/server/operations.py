"""What a namespace offers to do with all its sockets and with the other nodes; a server offers the same of "/".

`io.emit` is `io.broadcast().emit`, and so on.
"""

from abc import ABC, abstractmethod
from typing import Any

from zmqio.adapter.base import Adapter
from zmqio.exceptions import RequestTimeoutError
from zmqio.server.acks import ack_value
from zmqio.server.broadcast import Broadcast, RemoteSocket

__all__ = ["Operations"]


class Operations(ABC):
    """Operations on every socket of a namespace, and the first step to narrower ones."""

    @property
    @abstractmethod
    def adapter(self) -> Adapter:
        """Rooms, and the way to the other nodes; there from when the server starts."""

    @property
    @abstractmethod
    def request_timeout_s(self) -> float:
        """Seconds that answers may take if nothing else is asked for."""

    @abstractmethod
    async def ready(self) -> None:
        """Open what these operations need, if that has not happened yet."""

    @abstractmethod
    def broadcast(self) -> Broadcast:
        """An operation that reaches every socket of the namespace, on every node."""

    def to(self, *rooms: str) -> Broadcast:
        """An operation that reaches the members of rooms."""
        return self.broadcast().to(*rooms)

    in_ = to

    def except_(self, *rooms: str) -> Broadcast:
        """An operation that reaches everybody but the members of rooms."""
        return self.broadcast().except_(*rooms)

    @property
    def local(self) -> Broadcast:
        """An operation that reaches only sockets of this process."""
        return self.broadcast().local

    @property
    def volatile(self) -> Broadcast:
        """An operation that a client misses which cannot take it now."""
        return self.broadcast().volatile

    def compress(self, on: bool = True, /) -> Broadcast:
        """Accepted and without effect, see `Broadcast.compress`."""
        return self.broadcast().compress(on)

    def timeout(self, seconds: float) -> Broadcast:
        """An operation whose answers may take `seconds`."""
        return self.broadcast().timeout(seconds)

    async def emit(self, event: str, *args: Any) -> None:
        """Send an event to every socket. Raises as `Broadcast.emit`."""
        await self.broadcast().emit(event, *args)

    send = emit

    async def emit_with_ack(self, event: str, *args: Any) -> list[Any]:
        """Send an event to every socket and gather the answers. Raises as `Broadcast.emit_with_ack`."""
        return await self.broadcast().emit_with_ack(event, *args)

    async def fetch_sockets(self) -> list[RemoteSocket]:
        """Get every socket, of every node. Raises as `Broadcast.fetch_sockets`."""
        return await self.broadcast().fetch_sockets()

    async def sockets_join(self, *rooms: str) -> None:
        """Put every socket in rooms."""
        await self.broadcast().sockets_join(*rooms)

    async def sockets_leave(self, *rooms: str) -> None:
        """Take every socket out of rooms."""
        await self.broadcast().sockets_leave(*rooms)

    async def disconnect_sockets(self, *, close: bool = False) -> None:
        """Disconnect every socket; with `close` their whole connections."""
        await self.broadcast().disconnect_sockets(close=close)

    async def server_side_emit(self, event: str, *args: Any) -> None:
        """Send an event to the application on all *other* nodes, see `Namespace.on_server_side`.

        Raises:
            BusError: the other nodes did not get it.
        """
        await self.ready()
        await self.adapter.server_side_emit([event, *args])

    async def server_side_emit_with_ack(self, event: str, *args: Any, timeout: float | None = None) -> list[Any]:
        """Send an event to the application on all other nodes and gather one answer of each.

        Raises:
            RequestTimeoutError: a live node did not answer; `.responses` keeps what came, `.missing` names it.
            BusError: the other nodes did not get it.
        """
        await self.ready()
        limit_s = self.request_timeout_s if timeout is None else timeout
        try:
            answers = await self.adapter.server_side_emit_with_ack([event, *args], limit_s)
        except RequestTimeoutError as error:
            raise error.with_responses([ack_value(answer) for answer in error.responses]) from None
        return [ack_value(answer) for answer in answers]

    async def rooms(self) -> set[str]:
        """All rooms that have a member on any node. Raises as `fetch_sockets`."""
        await self.ready()
        return await self.adapter.rooms(self.request_timeout_s)

    def server_count(self) -> int:
        """How many live nodes there are, this one included."""
        return self.adapter.server_count()
