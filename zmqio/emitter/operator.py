"""The targets of an emitter's request, narrowed step by step; the last step sends it. Pure: `send` is passed in.

Source: `BroadcastOperator` of `@socket.io/redis-emitter` 5, https://socket.io/docs/v4/redis-adapter/#emitter
"""

from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any, Generic, TypeAlias, TypeVar

from zmqio.protocol.packet import check_namespace
from zmqio.protocol.publish import Operation, PublishRequest
from zmqio.protocol.room_names import Rooms, room_names
from zmqio.protocol.topic import check_name
from zmqio.tracing import Tracing

__all__ = ["BroadcastOperator", "Sending"]

Sending: TypeAlias = Coroutine[Any, Any, None]
"""The awaitables that the last steps of an asynchronous emitter return."""

ResultT = TypeVar("ResultT")


class BroadcastOperator(Generic[ResultT]):
    """Selects sockets of one namespace on every node. Each step returns a new operator, so all can be reused.

    The last steps (`emit`, `sockets_join`, `sockets_leave`, `disconnect_sockets`) return None for an `Emitter`,
    and a coroutine to await for an `AsyncEmitter`. After an error nothing was sent.

    Args:
        send: sends a finished request; its result is the result of the last step.
        request: the targets selected so far.

    Raises:
        PacketError: by the last steps; an argument is neither JSON-like nor bytes.
        PublishRequestError: by the last steps; the event name is not a str, or reserved like `connect`.
        BusUnavailableError: by the last steps; no broker accepted the request within `send_timeout_s` seconds.
        MessageTooLargeError: by the last steps; the request exceeds `max_message_bytes`.
    """

    __slots__ = ("_request", "_send")

    def __init__(self, send: Callable[[PublishRequest], ResultT], request: PublishRequest) -> None:
        self._send = send
        self._request = request

    def trace(self, tracing: Tracing) -> None:
        """Send the current context of `tracing` with each event, also of operators that are made from this one.

        `zmqio.telemetry.instrument(emitter)` calls this.
        """
        send = self._send

        def send_with_context(request: PublishRequest) -> ResultT:
            traceparent = tracing.traceparent() if request.op is Operation.EMIT else ""
            return send(replace(request, traceparent=traceparent) if traceparent else request)

        self._send = send_with_context

    def of(self, namespace: str) -> "BroadcastOperator[ResultT]":
        """Select sockets of another namespace; rooms and flags are kept.

        Raises:
            TopicError: the name contains a NUL.
            PacketError: the name does not begin with `/` or contains a `,`.
        """
        check_name(namespace)
        check_namespace(namespace)
        return self._with(namespace=namespace)

    def to(self, *rooms: Rooms) -> "BroadcastOperator[ResultT]":
        """Select only members of `rooms` and of rooms named before; a socket in several of them is reached once.

        A socket's id is a room that contains only that socket. If all `to` steps together name no room (`to(*[])`,
        `to([])`), no socket is selected. Without this step, the whole namespace is.

        Args:
            rooms: names, or lists of names.

        Raises:
            TopicError: a name contains a NUL.
            TypeError: a room is neither a str nor a list of them.
        """
        return self._with(rooms=_joined("to", self._request.rooms or (), rooms))

    in_ = to

    def except_(self, *rooms: Rooms) -> "BroadcastOperator[ResultT]":
        """Exclude members of `rooms`.

        Raises:
            TopicError: a name contains a NUL.
            TypeError: a room is neither a str nor a list of them.
        """
        return self._with(except_=_joined("except_", self._request.except_, rooms))

    @property
    def volatile(self) -> "BroadcastOperator[ResultT]":
        """Drop the event for clients that are not ready to receive it. Affects only `emit`."""
        return self._with(volatile=True)

    def emit(self, event: str, *args: Any) -> ResultT:
        """Send an event to the selected sockets.

        Args:
            event: name of the event.
            *args: its arguments; JSON-like values and bytes.
        """
        return self._send(replace(self._request, event=event, args=args))

    def sockets_join(self, *rooms: Rooms) -> ResultT:
        """Make the selected sockets join `rooms`; name at least one.

        Raises:
            TopicError: a name contains a NUL.
            TypeError: a room is neither a str nor a list of them.
        """
        return self._send(self._operation(Operation.JOIN, names=_joined("sockets_join", (), rooms)))

    def sockets_leave(self, *rooms: Rooms) -> ResultT:
        """Make the selected sockets leave `rooms`; name at least one.

        Raises:
            TopicError: a name contains a NUL.
            TypeError: a room is neither a str nor a list of them.
        """
        return self._send(self._operation(Operation.LEAVE, names=_joined("sockets_leave", (), rooms)))

    def disconnect_sockets(self, *, close: bool = False) -> ResultT:
        """Disconnect the selected sockets.

        Args:
            close: also close the underlying connections, with the sockets of all their namespaces.
        """
        return self._send(self._operation(Operation.DISCONNECT, close=close))

    def _with(self, **changes: Any) -> "BroadcastOperator[ResultT]":
        return BroadcastOperator(self._send, replace(self._request, **changes))

    def _operation(self, op: Operation, **fields: Any) -> PublishRequest:
        return replace(self._request, op=op, volatile=False, **fields)


def _joined(call: str, known: tuple[str, ...], rooms: tuple[Rooms, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(known + room_names(call, rooms)))
