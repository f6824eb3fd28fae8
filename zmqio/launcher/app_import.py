"""Import an ASGI app from "module:attribute", and explain a failure in one line."""

import importlib
import traceback
from functools import reduce
from typing import Any

from zmqio.exceptions import ConfigError, ServeError

__all__ = ["AppImportError", "check_app_name", "import_app"]


class AppImportError(ServeError):
    """The application's own code raised an error while it was imported.

    Attributes:
        traceback: the formatted traceback of that error, beginning in the application.
    """

    def __init__(self, text: str, traceback: str) -> None:
        super().__init__(text)
        self.traceback = traceback


def check_app_name(app: object) -> str:
    """Return `app` if it has the form module:attribute.

    Raises:
        ConfigError: it has another form, or is not a string.
    """
    if not isinstance(app, str):
        raise ConfigError(
            f"app={app!r} is not a string: every worker is a new process that imports the app; pass its name as "
            "'module:attribute'"
        )
    module, colon, attribute = app.partition(":")
    if module.endswith(".py"):
        name = module.removesuffix(".py").strip("./").replace("/", ".")
        raise ConfigError(f"app={app!r} names a file; name the module, for example '{name}:{attribute or 'app'}'")
    if colon and all(part.isidentifier() for part in (*module.split("."), *attribute.split("."))):
        return app
    raise ConfigError(f"app={app!r} does not have the form module:attribute, for example 'chat:app'")


def import_app(app: str) -> Any:
    """Import the app.

    Raises:
        ConfigError: `app` does not have the form module:attribute.
        ServeError: the module does not exist, or lacks the attribute, or the attribute is not callable.
        AppImportError: the module raised an error.
    """
    name, _, attribute = check_app_name(app).partition(":")
    module = _import(app, name)
    try:
        found = reduce(getattr, attribute.split("."), module)
    except AttributeError:
        raise ServeError(f"cannot load app {app!r}: module {name!r} has no attribute {attribute!r}") from None
    if not callable(found):
        hint = f"; serve what `{attribute}.asgi()` returns" if hasattr(found, "asgi") else ""
        raise ServeError(f"cannot load app {app!r}: {type(found).__name__} is not an ASGI app{hint}")
    return found


def _import(app: str, name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(error.name + ".")):
            raise ServeError(f"cannot load app {app!r}: no module named {error.name!r}") from None
        raise _import_error(app, error) from error
    except Exception as error:
        raise _import_error(app, error) from error


def _import_error(app: str, error: Exception) -> AppImportError:
    trace = error.__traceback__
    while trace is not None and _is_import_machinery(trace.tb_frame.f_code.co_filename):
        trace = trace.tb_next
    text = "".join(traceback.format_exception(error.with_traceback(trace)))
    return AppImportError(f"cannot import app {app!r}: {type(error).__name__}: {error}", text)


def _is_import_machinery(filename: str) -> bool:
    return filename in (__file__, importlib.__file__) or filename.startswith("<frozen importlib")
