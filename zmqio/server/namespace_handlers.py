"""Event handlers of a namespace as the methods of a class.

class Chat(zmqio.NamespaceHandlers):
    async def on_connect(self, socket, auth): ...

    @zmqio.event("chat message")
    async def say(self, socket, text): ...

io.register("/chat", Chat())
"""

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from zmqio.server.namespace import Namespace
from zmqio.server.parent import ParentNamespace
from zmqio.server.signatures import check_name

__all__ = ["NamespaceHandlers", "event", "register_handlers"]

Function = TypeVar("Function", bound=Callable[..., Any])

PREFIX = "on_"
MARK = "__zmqio_event__"


def event(name: str) -> Callable[[Function], Function]:
    """Decorate a method of `NamespaceHandlers` as the handler of the event `name`; the method may have any name.

    Example: `@zmqio.event("chat message")`

    Raises:
        TypeError: the name is not a string.
    """
    check_name("event", name)

    def mark(function: Function) -> Function:
        setattr(function, MARK, name)
        return function

    return mark


class NamespaceHandlers:
    """Base class for classes whose methods handle the events of a namespace. `Namespace.on` describes the
    handlers.

    Example: `io.register("/chat", Chat())`, where `Chat` is a subclass

    A method `on_NAME` handles the event NAME, spelled exactly like that: `on_chat_message` handles `chat_message`.
    `on_connect` and `on_disconnect` are the life cycle events. Use `@zmqio.event("chat message")` for an event
    whose name is not a Python name. *Every* method whose name starts with `on_` can be called by clients, so give
    helper methods other names.
    """

    __namespace: Namespace | ParentNamespace | None = None

    @property
    def namespace(self) -> Namespace:
        """The namespace that the object is registered for.

        Raises:
            RuntimeError: the object is not registered, or registered for a parent, which has many namespaces; use
                `io.of(socket.namespace)` there.
        """
        if isinstance(self.__namespace, Namespace):
            return self.__namespace
        if self.__namespace is None:
            raise RuntimeError(
                f"{type(self).__name__} is not registered; call io.register('/name', {type(self).__name__}())"
            )
        raise RuntimeError(
            f"{type(self).__name__} handles many namespaces ({self.__namespace!r}); use io.of(socket.namespace)"
        )

    def attached(self, namespace: Namespace | ParentNamespace) -> None:
        """Called when the object is registered.

        Raises:
            ValueError: it is already registered for a namespace.
        """
        if self.__namespace is not None:
            raise ValueError(
                f"this {type(self).__name__} is already registered for {self.__namespace!r}; create another one"
            )
        self.__namespace = namespace


def register_handlers(namespace: Namespace | ParentNamespace, handlers: NamespaceHandlers) -> None:
    """Register every handler method of an object.

    Raises:
        ValueError: the object has no handler methods or is already registered, an event already has a handler, or
            its name is reserved.
        TypeError: a method does not take the socket.
    """
    found = list(_methods(handlers))
    if not found:
        raise ValueError(
            f"{type(handlers).__name__} has no handler methods; name them on_connect or on_NAME, "
            "or decorate them with @zmqio.event"
        )
    handlers.attached(namespace)
    for name, method in found:
        namespace.on(name, method)


def _methods(handlers: NamespaceHandlers) -> Iterator[tuple[str, Callable[..., Any]]]:
    for attribute in dir(type(handlers)):
        marked = getattr(getattr(type(handlers), attribute), MARK, None)
        if marked is not None or attribute.startswith(PREFIX):
            yield marked or attribute.removeprefix(PREFIX), getattr(handlers, attribute)
