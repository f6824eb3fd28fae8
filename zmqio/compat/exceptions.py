"""The errors of python-socketio's server API.

SocketIOError
├── ConnectionError
│   └── ConnectionRefusedError (zmqio.ConnectRefused)   raised by a connect handler to refuse a client
└── TimeoutError                                        raised by `call`
"""

from typing import Any, NoReturn

from zmqio.compat.not_offered import MODULE_NAMES, explain
from zmqio.exceptions import ConnectRefused

__all__ = ["ConnectionError", "ConnectionRefusedError", "SocketIOError", "TimeoutError"]

REJECTED = "Connection rejected by server"
"""The message without arguments. Source: python-socketio 5."""


class SocketIOError(Exception):
    """Base class of the errors of python-socketio."""


class ConnectionError(SocketIOError):
    """A client could not be connected."""


class ConnectionRefusedError(ConnectRefused, ConnectionError):
    """Raise this in a connect handler to refuse the client.

    Args:
        args: the message for the client, and values that it receives as `error.data`: one value as it is, several
            as a list.

    Attributes:
        error_args: the data of the packet that the client receives.
    """

    def __init__(self, *args: Any) -> None:
        data = args[1] if len(args) == 2 else list(args[1:]) or None
        super().__init__(str(args[0]) if args else REJECTED, data)
        self.args = args
        self.error_args = {"message": self.message} if len(args) < 2 else {"message": self.message, "data": data}


class TimeoutError(SocketIOError):
    """A client did not acknowledge in time, or has disconnected."""


def __getattr__(name: str) -> NoReturn:
    if name in MODULE_NAMES:  # no AttributeError: `from ... import name` would replace its text
        raise ImportError(explain(name, MODULE_NAMES[name]))
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
