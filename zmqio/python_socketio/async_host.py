"""Acts on the clients of a `socketio.AsyncServer`."""

import inspect
from collections.abc import Callable, Coroutine
from typing import Any

from zmqio.ids import Sid
from zmqio.log_limit import LimitedLog
from zmqio.logger import get_logger
from zmqio.python_socketio.connection import ManagedConnection
from zmqio.python_socketio.host import log_slow_client
from zmqio.python_socketio.node import ManagerNode

__all__ = ["AsyncHost"]

log = LimitedLog(get_logger(__name__))


class AsyncHost:
    """The server, through its manager (`ServerHost`).

    Args:
        manager: knows the server once it is created.
        node: owns the tasks.
    """

    def __init__(self, manager: Any, node: ManagerNode) -> None:
        self._manager = manager
        self._node = node

    def disconnect(self, sid: Sid, namespace: str) -> None:
        """Disconnect a client of this process from a namespace."""
        self.spawn(self._manager.server.disconnect(sid, namespace, ignore_queue=True))

    def close_connection(self, connection: ManagedConnection) -> None:
        """Close a client's connection."""
        self.spawn(self._close(connection))

    def close_slow_client(self, connection: ManagedConnection) -> None:
        """Close the connection of a client that does not take its packets."""
        self._node.counters["clients_dropped"] += 1
        log_slow_client(connection)
        connection.discard_queue()
        reason = self._manager.server.reason.TRANSPORT_ERROR
        self.spawn(connection.socket.close(wait=False, abort=True, reason=reason))

    def run_in_loop(self, function: Callable[..., object], *args: Any) -> None:
        """Run a function: python-socketio calls from the same event loop."""
        function(*args)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run `work` in a task of the node."""
        self._node.tasks.spawn(work)

    async def call_back(self, callback: Callable[..., Any], args: list[Any]) -> None:
        """Call an application's callback, plain or async."""
        try:
            result = callback(*args)
            if inspect.isawaitable(result):
                await result
        except Exception:
            log.error("callback_failed", exc_info=True)

    async def _close(self, connection: ManagedConnection) -> None:
        server, socket = self._manager.server, connection.socket
        for namespace in list(self._manager.get_namespaces()):
            sid = self._manager.sid_from_eio_sid(socket.sid, namespace)
            if sid is not None:
                await server.disconnect(sid, namespace, ignore_queue=True)
        await socket.close(wait=False, reason=server.reason.SERVER_DISCONNECT)
        connection.end_writer()
