"""What an application hangs on one socket: its middleware, and listeners that hear every event of it.

A socket without any costs nothing: the lists are made with the first of them.
"""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import structlog

from zmqio.ids import Sid

__all__ = ["ListenerMixin", "SocketListeners"]

log = structlog.get_logger(__name__)

Function = TypeVar("Function", bound=Callable[..., Any])
SocketMiddleware = Callable[[str, list[Any]], Awaitable[None] | None]


class SocketListeners:
    """Functions of one socket.

    Attributes:
        middleware: `(event, args)`, in the order in which they were registered.
        incoming: `(event, *args)`, what hears each event of the client.
        outgoing: `(event, *args)`, what hears each event to the client.
    """

    __slots__ = ("incoming", "middleware", "outgoing")

    def __init__(self) -> None:
        self.middleware: list[SocketMiddleware] = []
        self.incoming: list[Callable[..., Any]] = []
        self.outgoing: list[Callable[..., Any]] = []

    def tell_outgoing(self, sid: Sid, event: str, args: Sequence[Any]) -> None:
        """Tell the outgoing listeners; what they raise is logged and stops nothing."""
        for listener in tuple(self.outgoing):
            try:
                listener(event, *args)
            except Exception:
                log.exception("outgoing_listener_failed", event_name=event, sid=sid)


class ListenerMixin(ABC):
    """The methods of a socket that hang something on it, named as in the JavaScript server.

    Attributes:
        taps: None until the first of them is called.
    """

    __slots__ = ("taps",)

    taps: SocketListeners | None

    @abstractmethod
    def _outgoing_changed(self, listening: bool) -> None:
        """There are outgoing listeners now, or none any more."""

    def use(self, middleware: SocketMiddleware) -> SocketMiddleware:
        """Run `middleware(event, args)` before the handler of each event; raise to reject the event.

        `args` is the list that the handler gets: what is changed in it is changed for the handler. A rejected
        event is dropped, logged as `event_rejected` (DEBUG) and counted; nothing acknowledges it.
        """
        self._tap().middleware.append(middleware)
        return middleware

    def on_any(self, listener: Function) -> Function:
        """Call `listener(event, *args)` for each event of the client, before middleware and handler."""
        self._tap().incoming.append(listener)
        return listener

    def prepend_any(self, listener: Function) -> Function:
        """The same as `on_any`, before the listeners that are there."""
        self._tap().incoming.insert(0, listener)
        return listener

    def off_any(self, listener: Callable[..., Any] | None = None) -> None:
        """Take a listener away, or all; one that is not there is passed over."""
        if self.taps is not None:
            _take(self.taps.incoming, listener)

    def on_any_outgoing(self, listener: Function) -> Function:
        """Call `listener(event, *args)` for each event that is sent to the client, broadcasts too.

        It must not block, and is a plain function. A broadcast is decoded once for all sockets that listen: the
        price is theirs alone. Acknowledgements are no events.

        Raises:
            TypeError: it is a coroutine function.
        """
        self._add_outgoing(listener, len(self._tap().outgoing))
        return listener

    def prepend_any_outgoing(self, listener: Function) -> Function:
        """The same as `on_any_outgoing`, before the listeners that are there."""
        self._add_outgoing(listener, 0)
        return listener

    def off_any_outgoing(self, listener: Callable[..., Any] | None = None) -> None:
        """Take an outgoing listener away, or all; one that is not there is passed over."""
        if self.taps is not None:
            _take(self.taps.outgoing, listener)
            self._outgoing_changed(bool(self.taps.outgoing))

    def _add_outgoing(self, listener: Callable[..., Any], place: int) -> None:
        if inspect.iscoroutinefunction(listener):
            raise TypeError(f"{listener!r} is a coroutine function; what hears outgoing events is a plain one")
        self._tap().outgoing.insert(place, listener)
        self._outgoing_changed(True)

    def _tap(self) -> SocketListeners:
        if self.taps is None:
            self.taps = SocketListeners()
        return self.taps


def _take(listeners: list[Callable[..., Any]], listener: Callable[..., Any] | None) -> None:
    if listener is None:
        listeners.clear()
    elif listener in listeners:
        listeners.remove(listener)
