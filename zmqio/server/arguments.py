"""The arguments of `Server`: checks them, and makes of them the options, the adapter factory and the parser."""

from collections.abc import Callable
from dataclasses import fields
from typing import Any, TypeAlias

from zmqio.adapter.base import Adapter, AdapterFactory
from zmqio.adapter.local import LocalAdapterFactory
from zmqio.buses import make_adapter
from zmqio.cluster.adapter import ClusterAdapter
from zmqio.cluster.factory import ClusterAdapterFactory
from zmqio.config import EngineOptions, ServerOptions, address_from_environment
from zmqio.exceptions import ConfigError
from zmqio.ids import NodeTag, parse_node_tag
from zmqio.option_names import explain_unknown_option
from zmqio.protocol.converting_parser import ConvertingParser, Default
from zmqio.protocol.parser import JsonParser, Parser
from zmqio.server.signatures import check_function

__all__ = ["FROM_ENVIRONMENT", "AdapterSpec", "check_tag", "make_factory", "make_parser", "sort_options"]

AdapterSpec: TypeAlias = str | AdapterFactory | Callable[..., Adapter] | None
FROM_ENVIRONMENT = "environment"
"""The argument `adapter` that stands for the address in `ZMQIO_ADAPTER`."""


def sort_options(options: dict[str, Any]) -> tuple[EngineOptions, ServerOptions]:
    """Sort the options of a server into those of the engine and its own.

    Raises:
        ConfigError: an option is unknown or invalid.
    """
    engine_names = {field.name for field in fields(EngineOptions)}
    server_names = {field.name for field in fields(ServerOptions)}
    for name in options:
        if name not in engine_names | server_names:
            raise ConfigError(explain_unknown_option("Server", name))
    engine = EngineOptions(**{name: value for name, value in options.items() if name in engine_names})
    server = ServerOptions(**{name: value for name, value in options.items() if name in server_names})
    return engine, server


def check_tag(tag: str | None) -> NodeTag | None:
    """Return the tag if it is valid.

    Raises:
        ConfigError: it is not.
    """
    try:
        return None if tag is None else parse_node_tag(tag)
    except ValueError as error:
        raise ConfigError(str(error)) from error


def make_factory(adapter: AdapterSpec) -> AdapterFactory:
    """Return what makes the adapters of a server, from the argument `adapter`.

    Raises:
        ConfigError: the argument is of no use.
    """
    if adapter == FROM_ENVIRONMENT:
        adapter = address_from_environment()
    if adapter is None:
        return LocalAdapterFactory()
    if isinstance(adapter, str):
        return make_adapter(adapter)
    if isinstance(adapter, type) and (meant := _meant_by_class(adapter)):
        raise ConfigError(f"cannot use adapter={adapter.__name__}, which is a class; did you mean {meant}?")
    if isinstance(adapter, AdapterFactory):
        return adapter
    if callable(adapter):
        _check_adapter(adapter)
        return LocalAdapterFactory(adapter)
    raise ConfigError(
        f"cannot use adapter={adapter!r}; "
        "give an address, ZmqAdapter(...), NatsAdapter(...), a subclass of LocalAdapter, or None"
    )


def _meant_by_class(adapter: type) -> str:
    """Return how a class is used that does not make adapters by itself; "" for one that does."""
    name = adapter.__name__
    if issubclass(adapter, ClusterAdapter):
        return f'ZmqAdapter("tcp://127.0.0.1:5555", adapter_class={name})'
    if issubclass(adapter, ClusterAdapterFactory):
        return f"{name}(address)"
    return f"{name}(...)" if isinstance(adapter, AdapterFactory) else ""


def _check_adapter(adapter: Callable[..., Adapter]) -> None:
    try:
        check_function(adapter, "adapter", "namespace", "sockets")
    except TypeError as error:
        raise ConfigError(f"cannot use adapter={adapter!r}: {error}") from error


def make_parser(parser: Parser | None, default: Default | None, *, recovery: bool) -> Parser:
    """Return the parser of a server.

    Raises:
        ConfigError: with recovery, the parser cannot append an offset.
    """
    inner = parser or JsonParser()
    if recovery and not hasattr(inner, "append_argument"):
        raise ConfigError(
            f"recovery needs a parser with the method `append_argument`; {type(inner).__name__} has none"
        )
    return inner if default is None else ConvertingParser(inner, default)
