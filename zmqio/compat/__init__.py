"""python-socketio's server API over `zmqio.Server`, so that an application moves with only its imports changed.

from zmqio import compat as socketio   # instead of: import socketio

The use of a name that is not offered raises an error that names the guide, docs/from-python-socketio.md.
"""

from typing import NoReturn

from zmqio.compat import exceptions
from zmqio.compat.asgi_app import ASGIApp
from zmqio.compat.async_namespace import AsyncNamespace
from zmqio.compat.async_server import AsyncServer
from zmqio.compat.exceptions import ConnectionRefusedError
from zmqio.compat.not_offered import MODULE_NAMES, explain

__all__ = ["ASGIApp", "AsyncNamespace", "AsyncServer", "ConnectionRefusedError", "exceptions"]


def __getattr__(name: str) -> NoReturn:
    if name in MODULE_NAMES:  # no AttributeError: `from zmqio.compat import name` would replace its text
        raise ImportError(explain(name, MODULE_NAMES[name]))
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
