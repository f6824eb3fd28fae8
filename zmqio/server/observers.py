"""The registered observers of a server: for each kind of event, the functions to call.

A kind that nobody observes has an empty tuple, so the check before an event costs one attribute and nothing else.
This module must not know sockets or namespaces; `Observer` documents the kinds and their arguments.
"""

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

from zmqio.log_limit import LimitedLog
from zmqio.logger import get_logger

__all__ = ["KINDS", "ObserverFunctions", "Observers", "notify"]

log = LimitedLog(get_logger(__name__))

ObserverFunctions: TypeAlias = tuple[Callable[..., None], ...]

KINDS = (
    "namespace_opened",
    "namespace_closed",
    "connected",
    "disconnected",
    "upgraded",
    "room_joined",
    "room_left",
    "event_received",
    "event_sent",
)


class Observers:
    """The functions of all observers by kind, in the order of registration.

    Attributes:
        namespace_opened, namespace_closed, connected, disconnected, upgraded, room_joined, room_left,
            event_received, event_sent: the functions to call; pass them to `notify`.
    """

    __slots__ = ("_observers", *KINDS)

    namespace_opened: ObserverFunctions
    namespace_closed: ObserverFunctions
    connected: ObserverFunctions
    disconnected: ObserverFunctions
    upgraded: ObserverFunctions
    room_joined: ObserverFunctions
    room_left: ObserverFunctions
    event_received: ObserverFunctions
    event_sent: ObserverFunctions

    def __init__(self) -> None:
        self._observers: list[tuple[object, type]] = []
        self._sort()

    def add(self, observer: object, base: type) -> bool:
        """Register an observer; return False if it is registered already.

        Args:
            observer: its methods are called for the kinds of the same name.
            base: a class whose methods do nothing; the methods that the observer inherits from it are not called.
        """
        if any(known is observer for known, _ in self._observers):
            return False
        self._observers.append((observer, base))
        self._sort()
        return True

    def remove(self, observer: object) -> None:
        """Remove an observer; an unknown one is ignored."""
        self._observers = [entry for entry in self._observers if entry[0] is not observer]
        self._sort()

    def _sort(self) -> None:
        for kind in KINDS:
            setattr(self, kind, tuple(self._functions(kind)))

    def _functions(self, kind: str) -> Iterator[Callable[..., None]]:
        for observer, base in self._observers:
            function = getattr(observer, kind)
            if getattr(function, "__func__", function) is not getattr(base, kind):
                yield function


def notify(functions: ObserverFunctions, *args: Any) -> None:
    """Call observers. Their errors are logged and not raised."""
    for function in functions:
        try:
            function(*args)
        except Exception:
            name = getattr(function, "__qualname__", repr(function))
            log.error("observer_failed", subject=name, function=name, exc_info=True)
