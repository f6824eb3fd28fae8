"""Whom a request of an emitter reaches, collected step by step; the last step sends it. Pure: `send` is given.

Source: `BroadcastOperator` of `@socket.io/redis-emitter` 5, https://socket.io/docs/v4/redis-adapter/#emitter
"""

from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any, Generic, TypeAlias, TypeVar

from zmqio.protocol.packet import check_namespace
from zmqio.protocol.publish import Operation, PublishRequest
from zmqio.protocol.topic import check_name

__all__ = ["BroadcastOperator", "Sending"]

Sending: TypeAlias = Coroutine[Any, Any, None]
"""What the last steps of an asynchronous emitter return, to be awaited."""

ResultT = TypeVar("ResultT")


class BroadcastOperator(Generic[ResultT]):
    """Reaches sockets of one namespace on every node. Each step makes a new one, so all can be kept.

    Of an `Emitter` the last steps return None, of an `AsyncEmitter` a coroutine to await. All of them raise:

    - PacketError: an argument is neither JSON-like nor bytes.
    - PublishRequestError: the event name is reserved (`connect`, `disconnect`, ...) or not a text.
    - BusUnavailableError: no broker took it within `send_timeout_s`.
    - MessageTooLargeError: it is over `max_message_bytes`.

    After an error nobody got it.

    Args:
        send: takes the finished request; gives what the last steps return.
        request: whom it reaches up to now.
    """

    __slots__ = ("_request", "_send")

    def __init__(self, send: Callable[[PublishRequest], ResultT], request: PublishRequest) -> None:
        self._send = send
        self._request = request

    def of(self, namespace: str) -> "BroadcastOperator[ResultT]":
        """Reach sockets of another namespace; rooms and flags stay.

        Raises:
            TopicError: the name has a NUL in it.
            PacketError: the name does not begin with `/` or has a `,` in it.
        """
        check_name(namespace)
        check_namespace(namespace)
        return self._with(namespace=namespace)

    def to(self, *rooms: str) -> "BroadcastOperator[ResultT]":
        """Reach only members of `rooms` (and of those named before); a socket in several is reached once.

        A session id is the room that only its socket is in. Without any room the whole namespace is reached.

        Raises:
            TopicError: a name has a NUL in it.
        """
        return self._with(rooms=_joined(self._request.rooms, rooms))

    in_ = to

    def except_(self, *rooms: str) -> "BroadcastOperator[ResultT]":
        """Do not reach members of `rooms`.

        Raises:
            TopicError: a name has a NUL in it.
        """
        return self._with(except_=_joined(self._request.except_, rooms))

    @property
    def volatile(self) -> "BroadcastOperator[ResultT]":
        """A client that cannot take it now does not get it at all. Only `emit` heeds it."""
        return self._with(volatile=True)

    def emit(self, event: str, *args: Any) -> ResultT:
        """Send an event with its arguments: JSON-like values and bytes."""
        return self._send(replace(self._request, event=event, args=args))

    def sockets_join(self, *rooms: str) -> ResultT:
        """Put the sockets that this reaches in `rooms`; at least one.

        Raises:
            TopicError: a name has a NUL in it.
        """
        return self._send(self._operation(Operation.JOIN, names=_joined((), rooms)))

    def sockets_leave(self, *rooms: str) -> ResultT:
        """Take the sockets that this reaches out of `rooms`; at least one.

        Raises:
            TopicError: a name has a NUL in it.
        """
        return self._send(self._operation(Operation.LEAVE, names=_joined((), rooms)))

    def disconnect_sockets(self, *, close: bool = False) -> ResultT:
        """Disconnect the sockets that this reaches; with `close` their whole connections."""
        return self._send(self._operation(Operation.DISCONNECT, close=close))

    def _with(self, **changes: Any) -> "BroadcastOperator[ResultT]":
        return BroadcastOperator(self._send, replace(self._request, **changes))

    def _operation(self, op: Operation, **fields: Any) -> PublishRequest:
        return replace(self._request, op=op, volatile=False, **fields)


def _joined(known: tuple[str, ...], rooms: tuple[str, ...]) -> tuple[str, ...]:
    for room in rooms:
        if not isinstance(room, str):
            raise TypeError(f"a room is named by text, not by {room!r}; several rooms: to('a', 'b')")
        check_name(room)
    return tuple(dict.fromkeys(known + rooms))
