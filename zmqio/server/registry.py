"""What an application registered for a namespace, and the methods to register it.

The registry of a child namespace inherits that of its parent: what the child has of its own comes on top.
"""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar, overload

from zmqio.protocol.packet import RESERVED_EVENTS
from zmqio.server.handlers import LIFECYCLE_EVENTS, Handlers
from zmqio.server.listeners import Listeners
from zmqio.server.socket import Socket

__all__ = ["Middleware", "Registration", "Registry"]

Function = TypeVar("Function", bound=Callable[..., Any])
Middleware = Callable[[Socket], Awaitable[None] | None]


class Registry:
    """Handlers, middleware and listeners of one namespace.

    Args:
        namespace: its name, for the log.
        inherited: the registry of its parent.

    Attributes:
        used: whether something was registered here, and not only in what it inherits.
    """

    def __init__(self, namespace: str, inherited: "Registry | None" = None) -> None:
        self.used = False
        self.handlers: Handlers = Handlers(inherited=None if inherited is None else inherited.handlers)
        self.listeners: Listeners = Listeners(namespace, None if inherited is None else inherited.listeners)
        self._inherited = inherited
        self._middleware: list[Middleware] = []
        self._any: list[Callable[..., Any]] = []

    @property
    def middleware(self) -> Sequence[Middleware]:
        """What each client has to pass, in order: the parent's first."""
        return self._middleware if self._inherited is None else (*self._inherited.middleware, *self._middleware)

    @property
    def any_listeners(self) -> Sequence[Callable[..., Any]]:
        """Who hears every event of every client, in order: the parent's first."""
        return self._any if self._inherited is None else (*self._inherited.any_listeners, *self._any)

    def add_middleware(self, middleware: Middleware) -> None:
        """Register connection middleware."""
        self.used = True
        self._middleware.append(middleware)

    def add_any(self, function: Callable[..., Any]) -> None:
        """Register a catch-all listener."""
        self.used = True
        self._any.append(function)

    def add_handler(self, event: str, function: Callable[..., Any]) -> None:
        """Register the handler of an event. Raises as `Registration.on`."""
        self.used = True
        self.handlers.add(event, function)


class Registration(ABC):
    """The methods to register something: of a namespace, of a parent, and of the server for "/"."""

    @property
    @abstractmethod
    def registry(self) -> Registry:
        """What was registered."""

    @overload
    def on(self, event: str) -> Callable[[Function], Function]: ...

    @overload
    def on(self, event: str, handler: Function) -> Function: ...

    def on(self, event: str, handler: Function | None = None) -> Any:
        """Register the function that handles an event; use it as a decorator or with `handler`.

        - `connect(socket, auth)`: raise `ConnectRefused` to refuse. What it emits to the socket reaches the
          client after it was told that it is connected.
        - `disconnect(socket, reason)`: after the events that came before it. `socket.rooms` are then still those
          that the socket was in, so what JavaScript does in `disconnecting` is done here too.
        - any other event: `(socket, *args)`; what it returns is the acknowledgement (None: no values, a tuple:
          several). Events of one client are handled one after the other, unless `concurrent_events` is set.

        Raises:
            ValueError: the event has a handler already, or its name is reserved by Socket.IO.
            TypeError: the handler cannot be called with a socket.
        """
        if event in RESERVED_EVENTS - LIFECYCLE_EVENTS:
            raise ValueError(f"{event!r} is reserved by Socket.IO; no client can send it")

        def register(function: Function) -> Function:
            self.registry.add_handler(event, function)
            return function

        return register if handler is None else register(handler)

    def use(self, middleware: Middleware) -> Middleware:
        """Run `middleware(socket)` for each client before it is connected; raise `ConnectRefused` to refuse."""
        self.registry.add_middleware(middleware)
        return middleware

    def on_any(self, function: Function) -> Function:
        """Let `function(socket, event, *args)` hear every event of every client, before its handler.

        It hears and decides nothing: what it raises is logged. For one client only: `Socket.on_any`.
        """
        self.registry.add_any(function)
        return function

    def on_server_side(self, event: str) -> Callable[[Function], Function]:
        """Decorate the function `(*args)` that takes what other nodes say by `server_side_emit`.

        What it returns answers `server_side_emit_with_ack`.
        """
        self.registry.used = True
        return self.registry.listeners.on_server_side(event)

    def on_room(self, event: str) -> Callable[[Function], Function]:
        """Decorate a function that hears of rooms *of this process*; it must not block.

        - `create-room(room)`, `delete-room(room)`: it has its first member here, or none any more.
        - `join-room(room, sid)`, `leave-room(room, sid)`.
        """
        self.registry.used = True
        return self.registry.listeners.on_room(event)
