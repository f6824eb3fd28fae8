"""What an application registered for the events of a namespace, and how it is called.

How many arguments a function takes is read once, when it is registered: a client that sends another number
gets a warning in the log and not a traceback.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["LIFECYCLE_EVENTS", "Handler", "Handlers", "call", "result_args"]

LIFECYCLE_EVENTS = frozenset({"connect", "disconnect"})
_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


@dataclass(frozen=True, slots=True)
class Handler:
    """One registered function and how many positional arguments it takes."""

    function: Callable[..., Any]
    min_args: int
    max_args: int | None

    def accepts(self, count: int) -> bool:
        """Whether it can be called with `count` arguments."""
        return self.min_args <= count and (self.max_args is None or count <= self.max_args)

    def usable(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """As many of `args`, from the left, as it takes: a connect handler may leave `auth` out."""
        return args if self.max_args is None else args[: self.max_args]

    def describe_args(self, *, besides_socket: bool) -> str:
        """How many values it takes, in words: "2", "0 to 1", "1 or more"."""
        own = 1 if besides_socket else 0
        least = max(self.min_args - own, 0)
        if self.max_args is None:
            return f"{least} or more"
        most = self.max_args - own
        return str(least) if least == most else f"{least} to {most}"

    async def call(self, *args: Any) -> Any:
        """Call it, and await what it returns if that is awaitable."""
        return await call(self.function, *args)


class Handlers:
    """Event name -> function. One function an event.

    Args:
        first_argument: what every function gets before the values of the event; "" for nothing.
        inherited: where to look for an event that has no function here.
    """

    def __init__(self, first_argument: str = "socket", inherited: "Handlers | None" = None) -> None:
        self._first_argument = first_argument
        self._inherited = inherited
        self._by_event: dict[str, Handler] = {}

    def add(self, event: str, function: Callable[..., Any]) -> None:
        """Register `function` for `event`.

        Raises:
            ValueError: the event has a function already.
            TypeError: `function` is not callable, or does not take the first argument.
        """
        if not callable(function):
            raise TypeError(f"the handler for {event!r} has to be a function, not {function!r}")
        if event in self._by_event:
            raise ValueError(
                f"there is a handler for {event!r} already ({self._by_event[event].function!r}); "
                "one function handles an event: call the other one from it"
            )
        handler = _inspect(function)
        if self._first_argument and handler.max_args == 0:
            raise TypeError(
                f"{function!r} takes no arguments; the first argument of a handler is the {self._first_argument}"
            )
        self._by_event[event] = handler

    def get(self, event: str) -> Handler | None:
        """The function for `event`, if there is one."""
        handler = self._by_event.get(event)
        if handler is None and self._inherited is not None:
            return self._inherited.get(event)
        return handler


async def call(function: Callable[..., Any], *args: Any) -> Any:
    """Call a function, and await what it returns if that is awaitable."""
    result = function(*args)
    return await result if inspect.isawaitable(result) else result


def _inspect(function: Callable[..., Any]) -> Handler:
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:  # some functions written in C do not tell
        return Handler(function, 0, None)
    positional = [p for p in parameters if p.kind in _POSITIONAL]
    required = [p for p in positional if p.default is inspect.Parameter.empty]
    unbounded = any(p.kind is inspect.Parameter.VAR_POSITIONAL for p in parameters)
    return Handler(function, len(required), None if unbounded else len(positional))


def result_args(result: Any) -> list[Any]:
    """The arguments that a handler's result acknowledges with: None is none, a tuple is several."""
    if result is None:
        return []
    return list(result) if isinstance(result, tuple) else [result]
