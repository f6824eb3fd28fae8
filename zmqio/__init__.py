"""Socket.IO for Python over many processes and machines, joined by one small ZeroMQ broker.

Start the broker, attach nodes with the `adapter` option, publish from any service that speaks ZeroMQ.
"""

from importlib.metadata import version

from zmqio.adapter.base import Adapter, AdapterFactory, BusGap, Health, LocalSockets, SocketDescription, Target
from zmqio.adapter.cluster_adapter import ClusterAdapter
from zmqio.adapter.local import LocalAdapter
from zmqio.config import BusOptions, EngineOptions, ServerOptions
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
from zmqio.protocol.msgpack_parser import MsgpackParser
from zmqio.server.broadcast import Broadcast, RemoteSocket
from zmqio.server.handshake import Handshake
from zmqio.server.namespace import Namespace
from zmqio.server.namespace_handlers import NamespaceHandlers, event
from zmqio.server.parent import ParentNamespace
from zmqio.server.server import Server
from zmqio.server.socket import Socket
from zmqio.server.typed import TypedEvent
from zmqio.transport.zmq_adapter import ZmqAdapter

__version__ = version("zmqio")

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
    "Emitter",
    "EngineOptions",
    "Handshake",
    "Health",
    "LocalAdapter",
    "LocalSockets",
    "MessageTooLargeError",
    "MsgpackParser",
    "Namespace",
    "NamespaceHandlers",
    "ParentNamespace",
    "ProtocolError",
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
    "serve",
]
