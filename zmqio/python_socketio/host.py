"""The part of a python-socketio server, async or threaded, that the managers use."""

from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from zmqio.ids import Sid
from zmqio.logger import get_logger
from zmqio.python_socketio.connection import ManagedConnection

__all__ = ["ServerHost", "log_slow_client"]

log = get_logger(__name__)


class ServerHost(Protocol):
    """Acts on the server's clients and runs the application's code. No method blocks the event loop."""

    def disconnect(self, sid: Sid, namespace: str) -> None:
        """Disconnect a client of this process from a namespace; returns at once."""

    def close_connection(self, connection: ManagedConnection) -> None:
        """Close a client's connection, with all its namespaces; returns at once."""

    def close_slow_client(self, connection: ManagedConnection) -> None:
        """Close the connection of a client that does not take its packets; returns at once."""

    def run_in_loop(self, function: Callable[..., object], *args: Any) -> None:
        """Run a function in the node's event loop, from any thread."""

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run `work` in a task of the node."""

    async def call_back(self, callback: Callable[..., Any], args: list[Any]) -> None:
        """Call an application's callback with the arguments of one acknowledgement; its error is logged."""


def log_slow_client(connection: ManagedConnection) -> None:
    """Log that a client is dropped."""
    log.warning(
        "client_dropped",
        sid=connection.socket.sid,
        reason="slow client",
        buffered_bytes=connection.size_bytes,
        buffered_packets=connection.socket.queue.qsize(),
    )
