"""Acts on the clients of a `socketio.Server`, whose handlers run in threads."""

from collections.abc import Callable, Coroutine
from typing import Any

from zmqio.ids import Sid
from zmqio.log_limit import LimitedLog
from zmqio.logger import get_logger
from zmqio.python_socketio.connection import ManagedConnection
from zmqio.python_socketio.host import log_slow_client
from zmqio.python_socketio.loop_thread import LoopThread
from zmqio.python_socketio.node import ManagerNode

__all__ = ["ThreadedHost"]

log = LimitedLog(get_logger(__name__))


class ThreadedHost:
    """The server, through its manager (`ServerHost`). The application's code runs in threads of the server.

    Args:
        manager: knows the server once it is created.
        node: owns the tasks.
        thread: runs the node.
    """

    def __init__(self, manager: Any, node: ManagerNode, thread: LoopThread) -> None:
        self._manager = manager
        self._node = node
        self._thread = thread

    def disconnect(self, sid: Sid, namespace: str) -> None:
        """Disconnect a client of this process from a namespace."""
        server = self._manager.server
        server.start_background_task(server.disconnect, sid, namespace, ignore_queue=True)

    def close_connection(self, connection: ManagedConnection) -> None:
        """Close a client's connection."""
        self._manager.server.start_background_task(self._close, connection)

    def close_slow_client(self, connection: ManagedConnection) -> None:
        """Close the connection of a client that does not take its packets."""
        self._node.counters["clients_dropped"] += 1
        log_slow_client(connection)
        connection.discard_queue()
        server = self._manager.server
        server.start_background_task(
            connection.socket.close, wait=False, abort=True, reason=server.reason.TRANSPORT_ERROR
        )

    def run_in_loop(self, function: Callable[..., object], *args: Any) -> None:
        """Run a function in the node's thread."""
        self._thread.loop.call_soon_threadsafe(function, *args)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run `work` in a task of the node; called in its thread."""
        self._node.tasks.spawn(work)

    async def call_back(self, callback: Callable[..., Any], args: list[Any]) -> None:
        """Call an application's callback in a thread of the server."""
        self._manager.server.start_background_task(_call, callback, args)

    def _close(self, connection: ManagedConnection) -> None:
        server, socket = self._manager.server, connection.socket
        for namespace in list(self._manager.get_namespaces()):
            sid = self._manager.sid_from_eio_sid(socket.sid, namespace)
            if sid is not None:
                server.disconnect(sid, namespace, ignore_queue=True)
        socket.close(wait=False, reason=server.reason.SERVER_DISCONNECT)
        connection.end_writer()


def _call(callback: Callable[..., Any], args: list[Any]) -> None:
    try:
        callback(*args)
    except Exception:
        log.error("callback_failed", exc_info=True)
