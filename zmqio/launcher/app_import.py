"""Import an ASGI app from "module:attribute", and say in one line what is wrong if that fails."""

import importlib
import traceback
from functools import reduce
from typing import Any

from zmqio.exceptions import ConfigError, ServeError

__all__ = ["AppFailedError", "check_app_name", "import_app"]


class AppFailedError(ServeError):
    """The application's own code raised while it was imported.

    Attributes:
        traceback: of that error.
    """

    def __init__(self, text: str, traceback: str) -> None:
        super().__init__(text)
        self.traceback = traceback


def check_app_name(app: object) -> str:
    """The checked name of an app.

    Raises:
        ConfigError: it is not of the form module:attribute.
    """
    if not isinstance(app, str):
        raise ConfigError(
            f"app={app!r}: give the name of the app as 'module:attribute', not the app itself: every worker is a "
            "new process that imports it"
        )
    module, colon, attribute = app.partition(":")
    if colon and all(part.isidentifier() for part in (*module.split("."), *attribute.split("."))):
        return app
    raise ConfigError(f"app={app!r}: write module:attribute, for example 'chat:app'")


def import_app(app: str) -> Any:
    """Import the app.

    Raises:
        ConfigError: `app` is not of the form module:attribute.
        ServeError: there is no such module, or it has no such attribute, or that cannot be called.
        AppFailedError: the module raised an error.
    """
    name, _, attribute = check_app_name(app).partition(":")
    module = _import(app, name)
    try:
        found = reduce(getattr, attribute.split("."), module)
    except AttributeError:
        raise ServeError(f"app {app!r}: module {name!r} has no attribute {attribute!r}") from None
    if not callable(found):
        raise ServeError(f"app {app!r} is no ASGI app but {type(found).__name__}")
    return found


def _import(app: str, name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(error.name + ".")):
            raise ServeError(f"app {app!r}: there is no module {error.name!r}") from None
        raise _failed(app, error) from error
    except Exception as error:
        raise _failed(app, error) from error


def _failed(app: str, error: Exception) -> AppFailedError:
    """With a traceback that begins in the application."""
    trace = error.__traceback__
    while trace is not None and _is_machinery(trace.tb_frame.f_code.co_filename):
        trace = trace.tb_next
    text = "".join(traceback.format_exception(error.with_traceback(trace)))
    return AppFailedError(f"app {app!r} cannot be imported: {type(error).__name__}: {error}", text)


def _is_machinery(filename: str) -> bool:
    return filename in (__file__, importlib.__file__) or filename.startswith("<frozen importlib")
