"""Middleware and catch-all listeners that an application registers for one socket.

A socket without any costs nothing: the lists are created with the first registration.
"""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from zmqio.ids import Sid
from zmqio.log_limit import LimitedLog
from zmqio.logger import get_logger
from zmqio.server.signatures import check_function

NO_NEXT = "there is no `next`: return to let the event pass, raise an exception to reject it"

__all__ = ["ListenerMixin", "SocketListeners"]

log = LimitedLog(get_logger(__name__))

Function = TypeVar("Function", bound=Callable[..., Any])
SocketMiddleware = Callable[[str, list[Any]], Awaitable[None] | None]


class SocketListeners:
    """Functions of one socket, each list in the order of registration.

    Attributes:
        middleware: functions `(event, args)`.
        incoming: functions `(event, *args)`, called for each event from the client.
        outgoing: functions `(event, *args)`, called for each event to the client.
    """

    __slots__ = ("incoming", "middleware", "outgoing")

    def __init__(self) -> None:
        self.middleware: list[SocketMiddleware] = []
        self.incoming: list[Callable[..., Any]] = []
        self.outgoing: list[Callable[..., Any]] = []

    def notify_outgoing(self, sid: Sid, event: str, args: Sequence[Any]) -> None:
        """Call the outgoing listeners. Their errors are logged."""
        for listener in tuple(self.outgoing):
            try:
                listener(event, *args)
            except Exception:
                log.error("outgoing_listener_failed", subject=event, event_name=event, sid=sid, exc_info=True)


class ListenerMixin(ABC):
    """The methods of a socket that register middleware and listeners, named as in the JavaScript server.

    Attributes:
        listeners: None until something is registered.
    """

    __slots__ = ("listeners",)

    listeners: SocketListeners | None

    @abstractmethod
    def _outgoing_changed(self, listening: bool) -> None:
        """Called when the socket gets its first outgoing listener or loses its last."""

    def use(self, middleware: SocketMiddleware) -> SocketMiddleware:
        """Call `middleware(event, args)`, plain or async, before the handler of each event.

        `args` is the list that the handler receives, so middleware may change it. Middleware rejects an event by
        raising or by returning False. A rejected event is dropped, logged as `event_rejected` (DEBUG), counted,
        and not acknowledged.
        """
        check_function(middleware, "middleware", "event", "args", hint=NO_NEXT)
        self._lists().middleware.append(middleware)
        return middleware

    def on_any(self, listener: Function) -> Function:
        """Call `listener(event, *args)`, plain or async, for each event from the client.

        The listener is called before middleware and handler.
        """
        check_function(listener, "listener", "event", "*args")
        self._lists().incoming.append(listener)
        return listener

    def prepend_any(self, listener: Function) -> Function:
        """Register a listener as `on_any`, but before the existing ones."""
        check_function(listener, "listener", "event", "*args")
        self._lists().incoming.insert(0, listener)
        return listener

    def off_any(self, listener: Callable[..., Any] | None = None) -> None:
        """Remove a listener, or all without an argument. An unknown listener is ignored."""
        if self.listeners is not None:
            _remove(self.listeners.incoming, listener)

    def on_any_outgoing(self, listener: Function) -> Function:
        """Call `listener(event, *args)` for each event to the client, including broadcasts.

        The listener must be a plain function and must not block. A broadcast is decoded once for all sockets with
        outgoing listeners, and not at all if there are none. Acknowledgements are not events.

        Raises:
            TypeError: the listener is an async function.
        """
        self._add_outgoing(listener, len(self._lists().outgoing))
        return listener

    def prepend_any_outgoing(self, listener: Function) -> Function:
        """Register a listener as `on_any_outgoing`, but before the existing ones."""
        self._add_outgoing(listener, 0)
        return listener

    def off_any_outgoing(self, listener: Callable[..., Any] | None = None) -> None:
        """Remove an outgoing listener, or all without an argument. An unknown listener is ignored."""
        if self.listeners is not None:
            _remove(self.listeners.outgoing, listener)
            self._outgoing_changed(bool(self.listeners.outgoing))

    def _add_outgoing(self, listener: Callable[..., Any], index: int) -> None:
        if inspect.iscoroutinefunction(listener):
            raise TypeError(f"outgoing listener {listener!r} is an async function; it must be a plain function")
        check_function(listener, "outgoing listener", "event", "*args")
        self._lists().outgoing.insert(index, listener)
        self._outgoing_changed(True)

    def _lists(self) -> SocketListeners:
        if self.listeners is None:
            self.listeners = SocketListeners()
        return self.listeners


def _remove(listeners: list[Callable[..., Any]], listener: Callable[..., Any] | None) -> None:
    if listener is None:
        listeners.clear()
    elif listener in listeners:
        listeners.remove(listener)
