"""The functions that an application registered for events, and how they are called.

The number of arguments that a function takes is determined once, when it is registered. A client that sends
another number causes a warning in the log instead of a traceback.
"""

import asyncio
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from zmqio.logger import get_logger
from zmqio.server.signatures import Arity, check_function

__all__ = ["CATCH_ALL", "LIFECYCLE_EVENTS", "Handler", "Handlers", "call", "own_error", "result_args"]

log = get_logger(__name__)

LIFECYCLE_EVENTS = frozenset({"connect", "disconnect"})
CATCH_ALL = "*"
"""Name of the handler for events that have no handler of their own. Source: python-socketio 5."""
_ARGUMENTS = {"connect": ("socket", "auth"), "disconnect": ("socket", "reason")}
LOOP_HELD_S = 0.1
"""A function that runs longer than this before its first `await` is reported: it delays all clients."""
_reported: set[str] = set()
_ENVIRON = "`socket.handshake` has the headers, query and address that `environ` had in python-socketio"


@dataclass(frozen=True, slots=True)
class Handler:
    """A registered function and the number of positional arguments that it takes.

    Attributes:
        function: the function.
        min_args: fewest arguments.
        max_args: most arguments; None means any number.
        is_async: whether it is known to be an `async def` function, whose call never blocks.
    """

    function: Callable[..., Any]
    min_args: int
    max_args: int | None
    is_async: bool = False

    def accepts(self, count: int) -> bool:
        """Whether the function can be called with `count` arguments."""
        return self.min_args <= count and (self.max_args is None or count <= self.max_args)

    def usable(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the first arguments of `args` that the function takes: a connect handler may omit `auth`."""
        return args if self.max_args is None else args[: self.max_args]

    def describe_args(self, *, besides_socket: bool) -> str:
        """Describe the number of arguments: "2", "0 to 1", "1 or more"."""
        own = 1 if besides_socket else 0
        least = max(self.min_args - own, 0)
        if self.max_args is None:
            return f"{least} or more"
        most = self.max_args - own
        return str(least) if least == most else f"{least} to {most}"

    async def call(self, *args: Any) -> Any:
        """Call the function, and await its result if that is awaitable."""
        return await call(self.function, *args)


class Handlers:
    """Maps each event name to one function.

    Args:
        first_argument: name of the argument that every function receives before the event's values; "" for none.
        inherited: consulted for events that have no function here.
    """

    def __init__(self, first_argument: str = "socket", inherited: "Handlers | None" = None) -> None:
        self._first_argument = first_argument
        self._inherited = inherited
        self._by_event: dict[str, Handler] = {}

    def add(self, event: str, function: Callable[..., Any]) -> None:
        """Register `function` for `event`.

        Raises:
            ValueError: the event already has a function.
            TypeError: `function` is not callable, or cannot be called with the arguments of the event.
        """
        arity = self._check(event, function)
        if event in self._by_event:
            raise ValueError(
                f"event {event!r} already has a handler ({self._by_event[event].function!r}); "
                "an event has one handler, which may call other functions"
            )
        self._by_event[event] = Handler(function, arity.least, arity.most, inspect.iscoroutinefunction(function))

    def _check(self, event: str, function: Callable[..., Any]) -> Arity:
        what = f"handler of {event!r}"
        if not self._first_argument:
            return check_function(function, what, "*args")
        if event in _ARGUMENTS:
            hint = _ENVIRON if event == "connect" else ""
            return check_function(function, what, *_ARGUMENTS[event], may_omit=True, hint=hint)
        arguments = ("event", "*args") if event == CATCH_ALL else ("*args",)
        return check_function(function, what, self._first_argument, *arguments)

    def get(self, event: str) -> Handler | None:
        """Return the function for `event`, or None."""
        handler = self._by_event.get(event)
        if handler is None and self._inherited is not None:
            return self._inherited.get(event)
        return handler


async def call(function: Callable[..., Any], *args: Any) -> Any:
    """Call a function, and await its result if that is awaitable.

    Raises:
        RuntimeError: the function raised CancelledError, but this task was not cancelled: something that the
            function awaited was. A CancelledError would end the task that handles all events of a client.
    """
    begun = perf_counter()
    try:
        result = function(*args)
        if (held_s := perf_counter() - begun) >= LOOP_HELD_S:
            _report_blocked_loop(function, held_s)
        return await result if inspect.isawaitable(result) else result
    except asyncio.CancelledError as error:
        raise own_error(function, error) from error


def own_error(function: Callable[..., Any], error: asyncio.CancelledError) -> RuntimeError:
    """Return the error of a function that raised CancelledError although nobody cancelled this task; see `call`.

    Raises:
        CancelledError: the task is being cancelled, so `error` is raised again.
    """
    task = asyncio.current_task()
    if task is None or task.cancelling():
        raise error
    return RuntimeError(f"{function!r} raised CancelledError: what it awaited was cancelled")


def _report_blocked_loop(function: Callable[..., Any], held_s: float) -> None:
    """Log a plain function that has blocked the event loop, once per function."""
    name = f"{function.__module__}.{getattr(function, '__qualname__', type(function).__qualname__)}"
    if name not in _reported:
        _reported.add(name)
        log.warning(
            "loop_blocked",
            function=name,
            held_s=round(held_s, 3),
            limit_s=LOOP_HELD_S,
            hint="no client was served meanwhile; decorate it with zmqio.in_thread, or make it async",
        )


def result_args(result: Any) -> list[Any]:
    """Convert a handler's result to the arguments of an acknowledgement: None to none, a tuple to several."""
    if result is None:
        return []
    return list(result) if isinstance(result, tuple) else [result]
