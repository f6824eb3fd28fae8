"""The operations of a manager with `write_only=True`, which publishes from a process that is not a node.

`ResultT` is None for an `Emitter`, and a coroutine to await for an `AsyncEmitter`.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, NoReturn, TypeVar

from zmqio.config import BusOptions
from zmqio.emitter import AsyncEmitter, BroadcastOperator, Emitter
from zmqio.protocol.socketio_values import arguments, room_name, room_names, skipped_sids
from zmqio.zeromq.curve import Curve

__all__ = ["EmitterSource", "OutsideOperations"]

ResultT = TypeVar("ResultT")


class OutsideOperations(Generic[ResultT]):
    """Emits, and moves clients between rooms, on every node.

    Args:
        emitter: returns the emitter to use in this thread.
    """

    def __init__(self, emitter: Callable[[], BroadcastOperator[ResultT]]) -> None:
        self._emitter = emitter

    def emit(
        self, event: str, data: Any, namespace: str | None, *, room: Any, skip_sid: Any, callback: Any
    ) -> ResultT:
        """Publish an event.

        Raises:
            RuntimeError: there is a callback, which only a server can receive.
        """
        if callback is not None:
            refuse_callback()
        operator = self._emitter().of(namespace or "/")
        rooms = room_names(room)
        if rooms is not None:
            operator = operator.to(list(rooms))
        return operator.except_(*skipped_sids(skip_sid)).emit(event, *arguments(data))

    def enter_room(self, sid: str, namespace: str | None, room: Any) -> ResultT:
        """Put a client in a room."""
        return self._select(sid, namespace).sockets_join(room_name(room))

    def leave_room(self, sid: str, namespace: str | None, room: Any) -> ResultT:
        """Take a client out of a room."""
        return self._select(sid, namespace).sockets_leave(room_name(room))

    def close_room(self, room: Any, namespace: str | None) -> ResultT:
        """Take every client out of a room."""
        return self._select(room_name(room), namespace).sockets_leave(room_name(room))

    def disconnect(self, sid: str, namespace: str | None) -> ResultT:
        """Disconnect a client."""
        return self._select(sid, namespace).disconnect_sockets()

    def _select(self, room: str, namespace: str | None) -> BroadcastOperator[ResultT]:
        return self._emitter().of(namespace or "/").to(room)


@dataclass(slots=True)
class EmitterSource:
    """Makes the emitters of one manager.

    Attributes:
        address: base address of the broker.
        options: options of the bus; an emitter uses `prefix`, `publish_queue_messages` and `max_message_bytes`.
        curve: the keys for the broker.
    """

    address: str
    options: BusOptions
    curve: Curve | None
    _sync: Emitter | None = None
    _async: tuple[asyncio.AbstractEventLoop, AsyncEmitter] | None = None

    def emitter(self) -> Emitter:
        """Return the emitter for any thread and any forked child."""
        if self._sync is None:
            self._sync = Emitter(self.address, curve=self.curve, **self._values())
        return self._sync

    def async_emitter(self) -> AsyncEmitter:
        """Return the emitter of the running event loop: Celery and scripts may run one loop after the other."""
        loop = asyncio.get_running_loop()
        if self._async is None or self._async[0] is not loop:
            self._async = (loop, AsyncEmitter(self.address, curve=self.curve, **self._values()))
        return self._async[1]

    def _values(self) -> dict[str, Any]:
        return {
            "prefix": self.options.prefix,
            "queue_messages": self.options.publish_queue_messages,
            "max_message_bytes": self.options.max_message_bytes,
        }


def refuse_callback() -> NoReturn:
    """Raise the error of python-socketio for a callback outside a server."""
    raise RuntimeError(
        "Callbacks can only be issued from the context of a server. A write-only manager cannot receive them"
    )
