"""The options of python-socketio's `AsyncServer`, as options of `zmqio.Server`. Pure."""

import json as stdlib_json
from collections.abc import Callable
from typing import Any

from zmqio.compat.not_offered import PAGE
from zmqio.exceptions import ConfigError
from zmqio.protocol.msgpack_parser import MsgpackParser
from zmqio.protocol.parser import Parser

__all__ = ["parser_for", "server_options"]

_NAMES = {
    "ping_interval": "ping_interval_s",
    "ping_timeout": "ping_timeout_s",
    "max_http_buffer_size": "max_payload_bytes",
    "compression_threshold": "compression_threshold_bytes",
    "async_handlers": "concurrent_events",
}


def server_options(options: dict[str, Any]) -> dict[str, Any]:
    """Convert options by name. Options of `zmqio.Server` are passed on.

    Raises:
        ConfigError: a value of python-socketio has no counterpart.
    """
    converted: dict[str, Any] = {}
    for name, value in options.items():
        if name in _WITHOUT_EFFECT:
            if value not in _WITHOUT_EFFECT[name]:
                raise _refusal(name, value, _ADVICE[name])
            continue
        if name == "ping_interval" and not isinstance(value, int | float):
            raise _refusal(name, value, "give a number of seconds; zmqio adds no grace period")
        converted[_NAMES.get(name, name)] = _CONVERSIONS[name](value) if name in _CONVERSIONS else value
    return converted


def parser_for(serializer: Any, json: Any) -> Parser | None:
    """Return the parser for the options `serializer` and `json`; None for the default.

    Raises:
        ConfigError: the serializer is neither `default` nor `msgpack`, or there is another JSON module.
    """
    if json not in (None, stdlib_json):
        raise _refusal("json", json, "convert values by `default=`, as of `json.dumps`")
    if serializer not in ("default", "msgpack"):
        raise _refusal("serializer", serializer, "use 'default' or 'msgpack'")
    return MsgpackParser() if serializer == "msgpack" else None


def _origins(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value  # an empty list turns CORS handling off in both


def _transports(value: Any) -> Any:
    return ("polling", "websocket") if value is None else (value,) if isinstance(value, str) else value


_CONVERSIONS: dict[str, Callable[[Any], Any]] = {"cors_allowed_origins": _origins, "transports": _transports}
_WITHOUT_EFFECT: dict[str, tuple[Any, ...]] = {
    "async_mode": (None, "asgi"),
    "logger": (None, False, True),
    "engineio_logger": (None, False, True),
    "monitor_clients": (None, True),
}
"""Options that zmqio lacks -> the values that agree with what it always does."""
_ADVICE = {
    "async_mode": "zmqio serves ASGI; leave the option out, and run uvicorn or hypercorn",
    "logger": "zmqio logs with structlog; leave the option out, and configure structlog",
    "engineio_logger": "zmqio logs with structlog; leave the option out, and configure structlog",
    "monitor_clients": "zmqio always closes clients that do not answer; leave the option out",
}


def _refusal(name: str, value: Any, advice: str) -> ConfigError:
    return ConfigError(f"AsyncServer: {name}={value!r:.80} has no counterpart in zmqio: {advice} ({PAGE})")
