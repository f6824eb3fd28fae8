"""Socket.IO for Python over many processes and machines, connected by one small ZeroMQ broker.

Start a broker with `zmqio broker`, create a `Server` in every process with the broker's address, and emit from any
of them. Programs without clients publish through an `Emitter`.

The names below are imported on first use, so that a program which only publishes does not load a server.
"""

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zmqio.adapter.base import Adapter, AdapterFactory, BusGap, Health, LocalSockets, SocketDescription, Target
    from zmqio.adapter.local import LocalAdapter
    from zmqio.cluster.adapter import ClusterAdapter
    from zmqio.config import BusOptions, EngineOptions, Recovery, ServerOptions
    from zmqio.emitter import AsyncEmitter, Emitter
    from zmqio.exceptions import (
        BusError,
        BusOverflowError,
        BusUnavailableError,
        ConfigError,
        ConnectRefused,
        MessageTooLargeError,
        ProtocolError,
        RequestTimeoutError,
        ServeError,
        ServerClosedError,
        SocketGoneError,
        ZmqioError,
    )
    from zmqio.launcher.serve import serve
    from zmqio.nats.adapter import NatsAdapter
    from zmqio.protocol.msgpack_parser import MsgpackParser
    from zmqio.protocol.packet import Frames
    from zmqio.server.broadcast import Broadcast, RemoteSocket
    from zmqio.server.handshake import Handshake
    from zmqio.server.namespace import Namespace
    from zmqio.server.namespace_handlers import NamespaceHandlers, event
    from zmqio.server.observer import Observer
    from zmqio.server.parent import ParentNamespace
    from zmqio.server.server import Server
    from zmqio.server.socket import Socket
    from zmqio.server.threads import in_thread
    from zmqio.server.typed import TypedEvent
    from zmqio.zeromq.adapter import ZmqAdapter
    from zmqio.zeromq.curve import Curve

    __version__: str

__all__ = [
    "Adapter",
    "AdapterFactory",
    "AsyncEmitter",
    "Broadcast",
    "BusError",
    "BusGap",
    "BusOptions",
    "BusOverflowError",
    "BusUnavailableError",
    "ClusterAdapter",
    "ConfigError",
    "ConnectRefused",
    "Curve",
    "Emitter",
    "EngineOptions",
    "Frames",
    "Handshake",
    "Health",
    "LocalAdapter",
    "LocalSockets",
    "MessageTooLargeError",
    "MsgpackParser",
    "Namespace",
    "NamespaceHandlers",
    "NatsAdapter",
    "Observer",
    "ParentNamespace",
    "ProtocolError",
    "Recovery",
    "RemoteSocket",
    "RequestTimeoutError",
    "ServeError",
    "Server",
    "ServerClosedError",
    "ServerOptions",
    "Socket",
    "SocketDescription",
    "SocketGoneError",
    "Target",
    "TypedEvent",
    "ZmqAdapter",
    "ZmqioError",
    "__version__",
    "event",
    "in_thread",
    "serve",
]

# The same names again: type checkers read the imports above, the interpreter this table (PEP 562).
_NAMES_OF = {
    "zmqio.adapter.base": (
        "Adapter",
        "AdapterFactory",
        "BusGap",
        "Health",
        "LocalSockets",
        "SocketDescription",
        "Target",
    ),
    "zmqio.cluster.adapter": ("ClusterAdapter",),
    "zmqio.adapter.local": ("LocalAdapter",),
    "zmqio.config": ("BusOptions", "EngineOptions", "Recovery", "ServerOptions"),
    "zmqio.emitter": ("AsyncEmitter", "Emitter"),
    "zmqio.exceptions": (
        "BusError",
        "BusOverflowError",
        "BusUnavailableError",
        "ConfigError",
        "ConnectRefused",
        "MessageTooLargeError",
        "ProtocolError",
        "RequestTimeoutError",
        "ServeError",
        "ServerClosedError",
        "SocketGoneError",
        "ZmqioError",
    ),
    "zmqio.launcher.serve": ("serve",),
    "zmqio.nats.adapter": ("NatsAdapter",),
    "zmqio.protocol.msgpack_parser": ("MsgpackParser",),
    "zmqio.protocol.packet": ("Frames",),
    "zmqio.server.broadcast": ("Broadcast", "RemoteSocket"),
    "zmqio.server.handshake": ("Handshake",),
    "zmqio.server.namespace": ("Namespace",),
    "zmqio.server.namespace_handlers": ("NamespaceHandlers", "event"),
    "zmqio.server.observer": ("Observer",),
    "zmqio.server.parent": ("ParentNamespace",),
    "zmqio.server.server": ("Server",),
    "zmqio.server.socket": ("Socket",),
    "zmqio.server.threads": ("in_thread",),
    "zmqio.server.typed": ("TypedEvent",),
    "zmqio.zeromq.adapter": ("ZmqAdapter",),
    "zmqio.zeromq.curve": ("Curve",),
}
_MODULE_OF = {name: module for module, names in _NAMES_OF.items() for name in names}


if not TYPE_CHECKING:  # otherwise type checkers would accept every name

    def __getattr__(name):
        if name == "__version__":
            return _read_version()
        module = _MODULE_OF.get(name)
        if module is not None:
            value = globals()[name] = getattr(import_module(module), name)
            return value
        if find_spec(f"{__name__}.{name}") is not None:  # `zmqio.exceptions` works without an import of its own
            return import_module(f"{__name__}.{name}")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


def _read_version() -> str:
    from importlib.metadata import version  # its imports take a twentieth of a node's start

    return version("zmqio")
