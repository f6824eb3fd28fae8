"""The functions that an application registered for a namespace, and the methods that register them.

The registry of a child namespace inherits that of its parent and may add to it or override it.
"""

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar, overload

from zmqio.protocol.packet import RESERVED_EVENTS
from zmqio.server.handlers import LIFECYCLE_EVENTS, Handlers
from zmqio.server.listeners import Listeners
from zmqio.server.signatures import check_function, check_name
from zmqio.server.socket import Socket

__all__ = ["Middleware", "Registration", "Registry"]

Function = TypeVar("Function", bound=Callable[..., Any])
NO_NEXT = "there is no `next`: return to admit the client, raise ConnectRefused to refuse it"

Middleware = Callable[[Socket], Awaitable[None] | None]


class Registry:
    """Handlers, middleware and listeners of one namespace.

    Args:
        namespace: the namespace's name, for the log.
        inherited: the registry of its parent.

    Attributes:
        used: whether anything was registered here; inherited functions do not count.
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
        """The connection middleware in order, the parent's first."""
        return self._middleware if self._inherited is None else (*self._inherited.middleware, *self._middleware)

    @property
    def any_listeners(self) -> Sequence[Callable[..., Any]]:
        """The catch-all listeners in order, the parent's first."""
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
    """The methods that register functions: of a namespace, of a parent, and of the server for `/`."""

    @property
    @abstractmethod
    def registry(self) -> Registry:
        """The registered handlers, middleware and listeners."""

    @overload
    def on(self, event: str) -> Callable[[Function], Function]: ...

    @overload
    def on(self, event: str, handler: Function) -> Function: ...

    def on(self, event: str, handler: Function | None = None) -> Any:
        """Register the handler of an event, as a decorator or with `handler`. Handlers may be plain or async.

        Example: `@io.on("chat message")` above `async def chat_message(socket, text): ...`

        - `connect`: a function `(socket, auth)` or `(socket)`. To refuse the client, raise `ConnectRefused` or
          return False. Events that the function emits to the socket are sent after the connection is confirmed.
          The function is cancelled when the client goes, or after `connect_handler_timeout_s`.
        - `disconnect`: a function `(socket, reason)`, called after the handlers of all earlier events.
          `socket.rooms` still contains the rooms that the socket was in, so the function also does what
          `disconnecting` does in JavaScript.
        - `connection`: the same as `connect`.
        - `*`: a function `(socket, event, *args)` for events that have no handler of their own.
        - Any other event: a function `(socket, *args)`. Its result is the acknowledgement: None for no value, a
          tuple for several. The events of one client are handled one after the other, unless the option
          `concurrent_events` is set.

        Args:
            event: the name of the event.
            handler: the function; if omitted, a decorator is returned.

        Raises:
            ValueError: the event already has a handler, or its name is reserved by Socket.IO.
            TypeError: the name is not a string, or the handler is not a function that can be called in this way.
        """
        check_name("on", event)
        if event in RESERVED_EVENTS - LIFECYCLE_EVENTS:
            raise ValueError(f"event name {event!r} is reserved by Socket.IO; no client can send it")
        name = "connect" if event == "connection" else event

        def register(function: Function) -> Function:
            self.registry.add_handler(name, function)
            return function

        return register if handler is None else register(handler)

    def use(self, middleware: Middleware) -> Middleware:
        """Register connection middleware: `middleware(socket)` is called before a client is connected.

        Middleware runs in the order of registration, may be plain or async, and refuses a client by raising
        `ConnectRefused` or returning False. Until all of it has returned, nothing reaches the client:

        - `join` and `leave` take effect, but the rooms' messages reach the client only once it is admitted.
        - `emit` is delivered after the connection is confirmed.
        - `disconnect` refuses the client. `emit_with_ack` raises RuntimeError: use it in the connect handler.

        If the client is refused, its socket leaves all rooms and cannot join another.
        """
        check_function(middleware, "middleware", "socket", hint=NO_NEXT)
        self.registry.add_middleware(middleware)
        return middleware

    def on_any(self, function: Function) -> Function:
        """Register a catch-all listener: `function(socket, event, *args)` is called before each event's handler.

        Its errors are logged and do not prevent the handler. `Socket.on_any` does the same for one client.
        """
        check_function(function, "listener", "socket", "event", "*args")
        self.registry.add_any(function)
        return function

    def on_server_side(self, event: str) -> Callable[[Function], Function]:
        """Decorate the function `(*args)` that handles an event which other nodes send by `server_side_emit`.

        Its result is the response to `server_side_emit_with_ack`.

        Raises:
            ValueError: the event already has a function.
        """
        check_name("on_server_side", event)
        self.registry.used = True
        return self.registry.listeners.on_server_side(event)

    def on_room(self, event: str) -> Callable[[Function], Function]:
        """Decorate a function that is called for room events *of this process*. It must not block.

        Args:
            event: `create-room` or `delete-room` for a function `(room)`: the room has its first member in this
                process, or no longer has one. `join-room` or `leave-room` for a function `(room, sid)`.

        Raises:
            ValueError: there is no such event.
        """
        self.registry.used = True
        return self.registry.listeners.on_room(event)
