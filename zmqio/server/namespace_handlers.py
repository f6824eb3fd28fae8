"""Handlers of a namespace as the methods of a class.

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

__all__ = ["NamespaceHandlers", "event", "register_handlers"]

Function = TypeVar("Function", bound=Callable[..., Any])

PREFIX = "on_"
MARK = "__zmqio_event__"


def event(name: str) -> Callable[[Function], Function]:
    """Decorate a method of `NamespaceHandlers` that handles the event `name`, whatever the method is called."""

    def mark(function: Function) -> Function:
        setattr(function, MARK, name)
        return function

    return mark


class NamespaceHandlers:
    """Base of a class whose methods handle the events of a namespace, as `Namespace.on` describes them.

    `on_connect`, `on_disconnect`, and `on_NAME` for the event NAME, exactly as it is spelled: `on_chat_message` is
    for `chat_message`. Names that are no Python names: `@zmqio.event("chat message")`. *Every* method whose name
    begins with `on_` can be called by clients, so give helpers other names.
    """

    __namespace: Namespace | ParentNamespace | None = None

    @property
    def namespace(self) -> Namespace:
        """The namespace that it handles.

        Raises:
            RuntimeError: it is not registered, or for a parent of many: take `io.of(socket.namespace)` there.
        """
        if isinstance(self.__namespace, Namespace):
            return self.__namespace
        if self.__namespace is None:
            raise RuntimeError(
                f"{type(self).__name__} is not registered: io.register('/name', {type(self).__name__}())"
            )
        raise RuntimeError(f"{self.__namespace!r} has many namespaces: take io.of(socket.namespace)")

    def attached(self, namespace: Namespace | ParentNamespace) -> None:
        """It was registered.

        Raises:
            ValueError: it handles another namespace already.
        """
        if self.__namespace is not None:
            raise ValueError(f"this {type(self).__name__} handles {self.__namespace!r} already; make another one")
        self.__namespace = namespace


def register_handlers(namespace: Namespace | ParentNamespace, handlers: NamespaceHandlers) -> None:
    """Register every handler method of an object. Raises as `Namespace.on`, and ValueError where there is none."""
    found = list(_methods(handlers))
    if not found:
        raise ValueError(
            f"{type(handlers).__name__} has no method for an event: on_connect, on_NAME, @zmqio.event"
        )
    handlers.attached(namespace)
    for name, method in found:
        namespace.on(name, method)


def _methods(handlers: NamespaceHandlers) -> Iterator[tuple[str, Callable[..., Any]]]:
    for attribute in dir(type(handlers)):
        marked = getattr(getattr(type(handlers), attribute), MARK, None)
        if marked is not None or attribute.startswith(PREFIX):
            yield marked or attribute.removeprefix(PREFIX), getattr(handlers, attribute)
