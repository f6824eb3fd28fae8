"""Errors for options that do not exist where they were given: what was meant, and where it belongs. Pure."""

from dataclasses import fields
from difflib import get_close_matches

from zmqio.config import BusOptions, EngineOptions, ServerOptions

__all__ = ["explain_unknown_option"]

_OWNERS = {
    **dict.fromkeys((field.name for field in fields(BusOptions)), "ZmqAdapter"),
    **dict.fromkeys((field.name for field in fields(EngineOptions)), "Server"),
    **dict.fromkeys((field.name for field in fields(ServerOptions)), "Server"),
}
_ELSEWHERE = {
    "pingInterval": "ping_interval_s",
    "pingTimeout": "ping_timeout_s",
    "connectTimeout": "connect_timeout_s",
    "upgradeTimeout": "upgrade_timeout_s",
    "maxHttpBufferSize": "max_payload_bytes",
    "max_http_buffer_size": "max_payload_bytes",
    "connectionStateRecovery": "recovery",
    "cleanupEmptyChildNamespaces": "cleanup_empty_child_namespaces",
}
"""Names of the same options in the JavaScript server and in python-socketio."""
_NOT_NEEDED = {
    "async_mode": "zmqio always runs on asyncio",
    "async_handlers": "use concurrent_events",
    "client_manager": "use adapter, for instance a broker address",
    "message_queue": "use adapter, for instance a broker address",
    "serializer": "use parser",
    "path": "it is an argument of asgi()",
}


def explain_unknown_option(owner: str, name: str) -> str:
    """Return the text of an error about an option.

    Args:
        owner: the class that the option was given to: `Server`, `ZmqAdapter` or `NatsAdapter`.
        name: its name.
    """
    if owner == "NatsAdapter":
        return explain_unknown_option("ZmqAdapter", name).replace("ZmqAdapter", owner)
    meant = name if name in _OWNERS else _ELSEWHERE.get(name) or _nearest(name)
    if meant is not None and meant in _OWNERS:
        return f"{owner} has no option {name!r}; {_advise(owner, name, meant)}"
    if name in _NOT_NEEDED:
        return f"{owner} has no option {name!r}; {_NOT_NEEDED[name]}"
    known = ", ".join(sorted(option for option, holder in _OWNERS.items() if holder == owner))
    return f"{owner} has no option {name!r}; its options are {known}"


def _advise(owner: str, name: str, meant: str) -> str:
    holder = _OWNERS[meant]
    if holder == owner:
        return f"did you mean {meant!r}?"
    example = f"{'ZmqAdapter(address, ' if holder == 'ZmqAdapter' else 'Server('}{meant}=...)"
    return f"{'it' if name == meant else repr(meant)} is an option of {holder}: {example}"


def _nearest(name: str) -> str | None:
    with_unit = next((option for option in _OWNERS if option.removesuffix("_s") == name), None)
    return with_unit or next(iter(get_close_matches(name, _OWNERS, n=1, cutoff=0.75)), None)
