"""The functions of an application for the events of all namespaces, found in the order of python-socketio. Pure.

1. The functions of the namespace: that of the event, then that of `*`.
2. The functions of the namespace `*`: that of the event, then that of `*`.
3. The object of the namespace, then that of the namespace `*`.

Source: python-socketio 5, `BaseServer._get_event_handler` and `_get_namespace_handler`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from zmqio.server.handlers import CATCH_ALL, LIFECYCLE_EVENTS, Handler
from zmqio.server.signatures import check_function
from zmqio.server.socket import Socket

__all__ = ["ANY_NAMESPACE", "EventHandlers", "FoundHandler", "NamespaceObject"]

ANY_NAMESPACE = "*"
_ARGUMENTS = {"connect": ("sid", "environ", "auth"), "disconnect": ("sid", "reason")}


class NamespaceObject(Protocol):
    """An object whose methods handle the events of a namespace."""

    def handler_of(self, event: str) -> Handler | None:
        """Return the method for an event, which takes the arguments that follow the event's name."""


class FoundHandler(NamedTuple):
    """A function of the application, and the names that it receives before the session id.

    Attributes:
        handler: the function.
        event: the name of the event, for a function of `*`; None for others.
        with_namespace: whether it also receives the name of the namespace.
    """

    handler: Handler
    event: str | None = None
    with_namespace: bool = False

    def arguments(self, socket: Socket, *values: Any) -> tuple[Any, ...]:
        """Return all arguments of a call for a socket."""
        names = () if self.event is None else (self.event,)
        return (
            (*names, socket.namespace, socket.id, *values) if self.with_namespace else (*names, socket.id, *values)
        )

    async def call_usable(self, socket: Socket, *values: Any) -> Any:
        """Call the function of a connect or disconnect, with as many of the arguments as it takes."""
        return await self.handler.call(*self.handler.usable(self.arguments(socket, *values)))

    def for_socket(self) -> Handler:
        """Return a handler that takes the socket in place of the names and the session id."""
        taken = (self.event is not None) + self.with_namespace
        most = None if self.handler.max_args is None else self.handler.max_args - taken
        return Handler(_SocketFunction(self), max(self.handler.min_args - taken, 0), most)


class _SocketFunction:
    """Calls a function of the application with the session id of a socket; logged by the function's name."""

    def __init__(self, found: FoundHandler) -> None:
        function = found.handler.function
        self._found = found
        self.__module__ = getattr(function, "__module__", "")
        self.__qualname__ = getattr(function, "__qualname__", repr(function))

    def __call__(self, socket: Socket, *args: Any) -> Any:
        return self._found.handler.function(*self._found.arguments(socket, *args))


class EventHandlers:
    """Maps namespaces and events to functions, and namespaces to objects."""

    def __init__(self) -> None:
        self._functions: dict[str, dict[str, Handler]] = {}
        self._objects: dict[str, NamespaceObject] = {}

    def add(self, namespace: str, event: str, function: Callable[..., Any]) -> None:
        """Register a function; a later one replaces an earlier one.

        Raises:
            TypeError: it cannot be called with the arguments of the event.
        """
        arguments = _ARGUMENTS.get(event, ("sid", "*args"))
        if namespace == ANY_NAMESPACE:
            arguments = ("namespace", *arguments)
        if event == CATCH_ALL:
            arguments = ("event", *arguments)
        what = f"handler of {event!r}"
        arity = check_function(function, what, *arguments, may_omit=event in LIFECYCLE_EVENTS)
        self._functions.setdefault(namespace, {})[event] = Handler(function, arity.least, arity.most)

    def add_object(self, namespace: str, handlers: NamespaceObject) -> None:
        """Register an object; a later one replaces an earlier one."""
        self._objects[namespace] = handlers

    def find(self, namespace: str, event: str) -> FoundHandler | None:
        """Return the function for an event; None if the application has none.

        Args:
            namespace: `*` for a namespace without functions or an object of its own.
            event: the name of the event.
        """
        named = namespace != ANY_NAMESPACE
        return (
            (named and self._find_function(namespace, event, with_namespace=False))
            or self._find_function(ANY_NAMESPACE, event, with_namespace=True)
            or (named and self._find_method(namespace, event, with_namespace=False))
            or self._find_method(ANY_NAMESPACE, event, with_namespace=True)
            or None
        )

    def _find_function(self, key: str, event: str, *, with_namespace: bool) -> FoundHandler | None:
        functions = self._functions.get(key)
        if functions is None:
            return None
        if event != CATCH_ALL and (handler := functions.get(event)) is not None:
            return FoundHandler(handler, None, with_namespace)
        if event not in LIFECYCLE_EVENTS and (handler := functions.get(CATCH_ALL)) is not None:
            return FoundHandler(handler, event, with_namespace)
        return None

    def _find_method(self, key: str, event: str, *, with_namespace: bool) -> FoundHandler | None:
        found = self._objects.get(key)
        handler = None if found is None else found.handler_of(event)
        return None if handler is None else FoundHandler(handler, None, with_namespace)
