"""The operations that a namespace offers on all its sockets and on the other nodes.

A `Server` offers the same operations for the namespace `/`: `io.emit(...)` is `io.of("/").emit(...)`.
"""

from typing import Any

from zmqio.exceptions import RequestTimeoutError
from zmqio.protocol.room_names import Rooms
from zmqio.server.acks import ack_value
from zmqio.server.broadcast import Broadcast, BroadcastNamespace, RemoteSocket
from zmqio.tracing import emitting

__all__ = ["Operations"]


class Operations:
    """Operations on every socket of a namespace, and the first step to narrower ones.

    Args:
        namespace: the namespace to operate on.
    """

    def __init__(self, namespace: BroadcastNamespace) -> None:
        self._target_namespace = namespace
        # A broadcast never changes, so that one serves as the start of every operation.
        self._everyone = Broadcast(namespace)

    def broadcast(self) -> Broadcast:
        """Return an operation on every socket of the namespace, on every node."""
        return self._everyone

    def to(self, *rooms: Rooms) -> Broadcast:
        """Return an operation on the members of rooms. Raises as `Broadcast.to`."""
        return self._everyone.to(*rooms)

    in_ = to

    def except_(self, *rooms: Rooms) -> Broadcast:
        """Return an operation on every socket except the members of rooms. Raises as `Broadcast.to`."""
        return self._everyone.except_(*rooms)

    @property
    def local(self) -> Broadcast:
        """An operation on the sockets of this process only."""
        return self._everyone.local

    @property
    def volatile(self) -> Broadcast:
        """An operation whose event a client misses if it cannot receive it immediately."""
        return self._everyone.volatile

    def compress(self, on: bool = True, /) -> Broadcast:
        """Accepted for compatibility, without effect; see `Broadcast.compress`."""
        return self._everyone.compress(on)

    def timeout(self, seconds: float) -> Broadcast:
        """Return an operation that waits at most `seconds` for responses."""
        return self._everyone.timeout(seconds)

    async def emit(self, event: str, *args: Any) -> None:
        """Send an event to every socket. Raises as `Broadcast.emit`."""
        await self._everyone.emit(event, *args)

    async def send(self, *args: Any) -> None:
        """Send the event `message`: the same as `emit("message", *args)`."""
        await self.emit("message", *args)

    async def emit_with_ack(self, event: str, *args: Any) -> list[Any]:
        """Send an event to every socket and collect the acknowledgements; see `Broadcast.emit_with_ack`."""
        return await self._everyone.emit_with_ack(event, *args)

    async def fetch_sockets(self) -> list[RemoteSocket]:
        """Get a snapshot of every socket of every node; see `Broadcast.fetch_sockets`."""
        return await self._everyone.fetch_sockets()

    async def sockets_join(self, *rooms: Rooms) -> None:
        """Add every socket to rooms. Raises as `Broadcast.sockets_join`."""
        await self._everyone.sockets_join(*rooms)

    async def sockets_leave(self, *rooms: Rooms) -> None:
        """Remove every socket from rooms. Raises as `Broadcast.sockets_leave`."""
        await self._everyone.sockets_leave(*rooms)

    async def disconnect_sockets(self, *, close: bool = False) -> None:
        """Disconnect every socket; with `close`, their connections. Raises as `Broadcast.disconnect_sockets`."""
        await self._everyone.disconnect_sockets(close=close)

    async def server_side_emit(self, event: str, *args: Any) -> None:
        """Send an event to the functions that all *other* nodes registered with `on_server_side`.

        Args:
            event: the name of the event.
            args: values that the bus can carry; JSON-like values and bytes.

        Raises:
            BusError: the other nodes did not receive the event.
        """
        namespace = self._target_namespace
        await namespace.ready()
        with emitting(namespace.runtime.tracing, namespace.name, event):
            await namespace.adapter.server_side_emit([event, *args])

    async def server_side_emit_with_ack(self, event: str, *args: Any, timeout: float | None = None) -> list[Any]:
        """Send an event to all other nodes and collect one response from each.

        Args:
            event: the name of the event.
            args: JSON-like values and bytes.
            timeout: seconds to wait; None means the server option `request_timeout_s`.

        Returns:
            One value per node, in order of arrival: None, the value, or a tuple of several values.

        Raises:
            RequestTimeoutError: a live node did not respond in time; `.responses` contains the values received,
                `.missing` the ids of the silent nodes.
            BusError: the other nodes did not receive the event.
        """
        namespace = self._target_namespace
        await namespace.ready()
        limit_s = namespace.runtime.options.request_timeout_s if timeout is None else timeout
        try:
            with emitting(namespace.runtime.tracing, namespace.name, event):
                answers = await namespace.adapter.server_side_emit_with_ack([event, *args], limit_s)
        except RequestTimeoutError as error:
            raise error.with_responses([ack_value(answer) for answer in error.responses]) from None
        return [ack_value(answer) for answer in answers]

    async def rooms(self) -> set[str]:
        """Get the names of all rooms that have a member on any node. Raises as `fetch_sockets`."""
        namespace = self._target_namespace
        await namespace.ready()
        return await namespace.adapter.rooms(namespace.runtime.options.request_timeout_s)

    def server_count(self) -> int:
        """Return the number of live nodes, including this one.

        Raises:
            RuntimeError: the server has not started.
        """
        return self._target_namespace.adapter.server_count()
