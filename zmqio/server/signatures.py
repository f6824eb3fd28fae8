"""Checks of functions when they are registered: an error then, instead of one for each client later.

The number of positional arguments that a function takes is determined once. This module knows functions only; it
must not know events, sockets or namespaces.
"""

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple

__all__ = ["Arity", "arity_of", "check_function", "check_name"]

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


class Arity(NamedTuple):
    """Fewest and most positional arguments of a function; `most` None: any number."""

    least: int
    most: int | None


def check_name(decorator: str, name: Any) -> None:
    """Check the name of an event that a function is registered for.

    Args:
        decorator: how it is registered, for the error.
        name: the name.

    Raises:
        TypeError: it is not a string; the decorator may have been used without parentheses.
    """
    if isinstance(name, str):
        return
    if callable(name):
        found = getattr(name, "__name__", repr(name))
        raise TypeError(f"{decorator} takes the name of an event, not a function; write @{decorator}({found!r})")
    raise TypeError(
        f"{decorator} takes the name of an event, not {name!r}; did you mean {decorator}({str(name)!r})?"
    )


def check_function(function: Any, what: str, *arguments: str, may_omit: bool = False, hint: str = "") -> Arity:
    """Check that a function can be called with these arguments.

    Args:
        function: the function.
        what: the role in which it is registered, for the error.
        arguments: names of the arguments that it is called with; a last name that begins with `*` stands for any
            number.
        may_omit: whether it may take only the first of them.
        hint: added to the error about the number of arguments.

    Returns:
        The numbers of arguments that the function takes.

    Raises:
        TypeError: it cannot be called in this way, or calling it would not run it.
    """
    if not callable(function):
        raise TypeError(f"{what} {function!r} is not a function")
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError(f"{what} {function!r} is a generator: it contains `yield`, so a call would not run it")
    arity = arity_of(function, what)
    fixed = [name for name in arguments if not name.startswith("*")]
    if fixed and arity.most == 0:
        raise TypeError(f"{what} {function!r} takes no arguments; its first argument must be the {fixed[0]}")
    too_few = arity.most is not None and arity.most < len(fixed) and not may_omit
    if too_few or (arity.least > len(fixed) and len(fixed) == len(arguments)):
        takes = arity.least if arity.most in (None, arity.least) else f"{arity.least} to {arity.most}"
        raise TypeError(
            f"{what} {function!r} takes {takes} arguments, but is called with ({', '.join(arguments)})"
            f"{hint and f'; {hint}'}"
        )
    return arity


def arity_of(function: Callable[..., Any], what: str = "function") -> Arity:
    """Return how many positional arguments a function takes.

    Raises:
        TypeError: it requires keyword arguments, with which it is never called.
    """
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:  # some functions written in C have no signature
        return Arity(0, None)
    positional = [p for p in parameters if p.kind in _POSITIONAL]
    required = [p for p in positional if p.default is inspect.Parameter.empty]
    unbounded = any(p.kind is inspect.Parameter.VAR_POSITIONAL for p in parameters)
    for parameter in parameters:
        if parameter.kind is inspect.Parameter.KEYWORD_ONLY and parameter.default is inspect.Parameter.empty:
            raise TypeError(
                f"{what} {function!r} requires the keyword argument {parameter.name!r}, but is called with "
                "positional arguments only"
            )
    return Arity(len(required), None if unbounded else len(positional))
